"""Encrypted values: unreadable in the file, bound to their place, and clear about missing keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from kijabi.base.errors import ConfigError
from kijabi.store.embedded import EmbeddedStore
from kijabi.store.encrypted import EncryptedStore, Keyring, Undecryptable
from kijabi.store.interface import Op, Store
from kijabi.store.memory import MemoryStore
from kijabi.store.suite import StoreSuite, put
from kijabi.store.timeline import Retention

SECRETS = "/registry/core/secrets/"
KEY = SECRETS + "default/password"
PLAIN = b"correct horse battery staple"


class TestEncryptedStore(StoreSuite):
    """The contract holds with everything encrypted."""

    async def open(self, retention: Retention | None = None, max_backlog: int = 10_000) -> Store:
        inner = MemoryStore(Retention(*retention) if retention else None, max_backlog=max_backlog)
        return EncryptedStore(inner, Keyring.fresh(), ("",))


async def test_plaintext_never_reaches_the_file(tmp_path: Path) -> None:
    keyring = Keyring.load(tmp_path / "keys.json", create=True)
    store = EncryptedStore(EmbeddedStore.open(tmp_path / "store"), keyring, (SECRETS,))
    file = tmp_path / "store" / "data.mdb"
    await put(store, KEY, PLAIN)
    assert PLAIN not in file.read_bytes()
    await put(store, "/registry/core/configmaps/default/a", b"not a secret at all")
    for number in range(50):
        await put(store, f"{KEY}-{number}", PLAIN * number)
    assert b"not a secret at all" in file.read_bytes()
    assert PLAIN not in file.read_bytes()
    await store.close()
    assert PLAIN not in file.read_bytes()
    again = EncryptedStore(EmbeddedStore.open(tmp_path / "store"), Keyring.load(tmp_path / "keys.json"), (SECRETS,))
    entry = await again.get(KEY)
    assert entry is not None
    assert entry.value == PLAIN
    await again.close()


async def test_equal_values_look_different() -> None:
    inner = MemoryStore()
    store = EncryptedStore(inner, Keyring.fresh(), (SECRETS,))
    await put(store, KEY + "1", PLAIN)
    await put(store, KEY + "2", PLAIN)
    first, second = (await inner.range("", "~")).entries
    assert first.value[-40:] != second.value[-40:]


async def test_values_cannot_be_swapped_changed_or_replaced_by_plaintext() -> None:
    inner = MemoryStore()
    store = EncryptedStore(inner, Keyring.fresh(), (SECRETS,))
    await put(store, KEY, PLAIN)
    stored = (await inner.range("", "~")).entries[0].value
    await put(inner, KEY + "-moved", stored)
    await put(inner, KEY + "-changed", stored[:-1] + bytes((stored[-1] ^ 1,)))
    await put(inner, KEY + "-plain", PLAIN)
    for name, why in (("-moved", "moved"), ("-changed", "changed"), ("-plain", "not encrypted")):
        with pytest.raises(Undecryptable, match=why) as caught:
            await store.get(KEY + name)
        assert caught.value.key == KEY + name
    with pytest.raises(Undecryptable):
        await store.range(SECRETS, SECRETS + "~")
    await store.txn((), (Op(KEY + "-plain", None),))


async def test_a_wrong_key_is_a_clear_error(tmp_path: Path) -> None:
    inner = MemoryStore()
    await put(EncryptedStore(inner, Keyring.fresh(), (SECRETS,)), KEY, PLAIN)
    with pytest.raises(Undecryptable, match="does not fit"):
        await EncryptedStore(inner, Keyring.fresh(), (SECRETS,)).get(KEY)
    other = Keyring("2", {"2": bytes(32)}, tmp_path / "keys.json")
    with pytest.raises(Undecryptable, match=r"key '1' is not in .*keys.json"):
        await EncryptedStore(inner, other, (SECRETS,)).get(KEY)


async def test_keys_rotate(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    keyring = Keyring.load(path, create=True)
    inner = MemoryStore()
    store = EncryptedStore(inner, keyring, (SECRETS,))
    for number in range(3):
        await put(store, f"{KEY}{number}", PLAIN)
    assert keyring.rotate() == "2"
    await put(store, KEY + "3", PLAIN)
    assert [entry.value for entry in (await store.range("", "~")).entries] == [PLAIN] * 4
    assert await store.rewrite() == 3
    assert await store.rewrite() == 0
    keyring.retire("1")
    with pytest.raises(ConfigError, match="primary"):
        keyring.retire("2")
    reopened = EncryptedStore(inner, Keyring.load(path), (SECRETS,))
    assert [entry.value for entry in (await reopened.range("", "~")).entries] == [PLAIN] * 4


def test_the_key_file_is_private_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    with pytest.raises(ConfigError, match="missing"):
        Keyring.load(path)
    Keyring.load(path, create=True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert Keyring.load(path, create=True).seal("/a", b"") != b""
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        Keyring.load(path)
    for text in (
        b"",
        b"{}",
        b'{"primary":"1","keys":{}}',
        b'{"primary":"1","keys":{"1":"c2hvcnQ="}}',
        b"\xff",
    ):
        path.write_bytes(text)
        path.chmod(0o600)
        with pytest.raises(ConfigError):
            Keyring.load(path)
