"""Secrets unreadable on disk: a store over another that encrypts the values under chosen prefixes.

`cmd` wraps the API server's engine with it from the first start on, so that no Secret was ever written in the
clear. The keys lie in a file of their own, readable by nobody else; each value names its key, so that keys
can rotate; and each is bound to the path that it lies under, so that whoever can write the database cannot
swap one for another.

A value is MAGIC, length of the key's id (1 byte), id, nonce (12 bytes), AES-256-GCM ciphertext and tag.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Self

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kijabi.base import rand
from kijabi.base.errors import ConfigError, KijabiError
from kijabi.base.files import write_atomic
from kijabi.store.interface import Entry, Event, Guard, Op, Range, Store, Txn
from kijabi.store.keys import prefix_end

MAGIC = b"\x00kijabi:aesgcm:1:"
NONCE = 12
# Entries read at once when values are rewritten under a new key.
PAGE = 500


class Undecryptable(KijabiError):
    """A value that should be encrypted and cannot be read with the keys at hand; `key` is its path."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"cannot decrypt {key}: {why}")
        self.key = key


class _File(msgspec.Struct):
    primary: str
    keys: dict[str, str]


class Keyring:
    """Keys by id, of which the primary one encrypts and all decrypt.

    The lifecycle: `load` (the first time with create=True) → use → `rotate` → `EncryptedStore.rewrite` →
    `retire`.
    """

    def __init__(self, primary: str, keys: dict[str, bytes], path: Path | None = None) -> None:
        if primary not in keys:
            raise ConfigError(f"the primary encryption key {primary!r} is not among the keys")
        self.primary = primary
        self.path = path
        self._raw = keys
        self._ciphers = {name: AESGCM(key) for name, key in keys.items()}

    @classmethod
    def fresh(cls, path: Path | None = None) -> Self:
        """One new key; not saved yet."""
        return cls("1", {"1": AESGCM.generate_key(256)}, path)

    @classmethod
    def load(cls, path: Path, *, create: bool = False) -> Self:
        """The keys in a file. create: make it where it is missing, which is right only for an empty store.

        Raises ConfigError where it is missing, open to others, or no key file.
        """
        if create and not path.exists():
            keyring = cls.fresh(path)
            keyring.save()
            return keyring
        try:
            mode = path.stat().st_mode
            found = msgspec.json.decode(path.read_bytes(), type=_File)
            keys = {name: base64.b64decode(text, validate=True) for name, text in found.keys.items()}
            if any(len(key) != 32 or not 0 < len(name.encode()) < 256 for name, key in keys.items()):
                raise ValueError("a key is not of 32 bytes, or its id not of 1 to 255")
        except FileNotFoundError:
            why = f"the encryption keys {path} are missing; without them the stored Secrets cannot be read"
            raise ConfigError(why) from None
        except (OSError, msgspec.MsgspecError, binascii.Error, ValueError) as error:
            raise ConfigError(f"cannot use the encryption keys {path}: {error}") from error
        if mode & 0o077:
            raise ConfigError(f"the encryption keys {path} are open to others: chmod 600 {path}")
        return cls(found.primary, keys, path)

    def save(self) -> None:
        """Write the file: whole or not at all, durable, and never readable by others."""
        if self.path is None:
            return
        texts = {name: base64.b64encode(key).decode() for name, key in self._raw.items()}
        write_atomic(self.path, msgspec.json.encode(_File(self.primary, texts)), 0o600)

    def rotate(self) -> str:
        """Add a new key and make it the primary one, in the file too; its id. Old values stay readable."""
        name = str(max((int(name) for name in self._raw if name.isdecimal()), default=0) + 1)
        self._raw[name] = AESGCM.generate_key(256)
        self._ciphers[name] = AESGCM(self._raw[name])
        self.primary = name
        self.save()
        return name

    @property
    def old(self) -> tuple[str, ...]:
        """The keys that only decrypt."""
        return tuple(name for name in self._raw if name != self.primary)

    def retire(self, name: str) -> None:
        """Forget a key that no value needs any more, in the file too."""
        if name == self.primary:
            raise ConfigError(f"the encryption key {name!r} is the primary one: rotate first")
        del self._raw[name], self._ciphers[name]
        self.save()

    def seal(self, key: str, value: bytes) -> bytes:
        """Encrypt the value that lies under `key`."""
        name = self.primary.encode()
        nonce = rand.rng().randbytes(NONCE)
        sealed = self._ciphers[self.primary].encrypt(nonce, value, key.encode())
        return b"".join((MAGIC, bytes((len(name),)), name, nonce, sealed))

    def open(self, key: str, value: bytes) -> bytes:
        """Decrypt the value that lies under `key`. Raises Undecryptable."""
        name, at = self.key_of(key, value)
        cipher = self._ciphers.get(name)
        if cipher is None:
            raise Undecryptable(key, f"its encryption key {name!r} is not in {self.path or 'the keyring'}")
        try:
            return cipher.decrypt(value[at : at + NONCE], value[at + NONCE :], key.encode())
        except InvalidTag:
            why = f"the key {name!r} does not fit, or the value was changed or moved"
            raise Undecryptable(key, why) from None

    def key_of(self, key: str, value: bytes) -> tuple[str, int]:
        """The id of the key that a value is encrypted with, and where its nonce begins."""
        start = len(MAGIC) + 1
        if not value.startswith(MAGIC) or len(value) < start + value[len(MAGIC)] + NONCE:
            raise Undecryptable(key, "it is not encrypted")
        end = start + value[len(MAGIC)]
        return value[start:end].decode("utf-8", "replace"), end


class EncryptedStore:
    """A `Store` that keeps the values under `prefixes` encrypted in another; the rest passes through."""

    def __init__(self, inner: Store, keyring: Keyring, prefixes: Sequence[str]) -> None:
        self.inner = inner
        self.keyring = keyring
        self.prefixes = tuple(prefixes)

    @property
    def revision(self) -> int:
        """See `Store`."""
        return self.inner.revision

    @property
    def compacted(self) -> int:
        """See `Store`."""
        return self.inner.compacted

    async def get(self, key: str) -> Entry | None:
        """See `Store`; raises Undecryptable."""
        return self._opened(await self.inner.get(key))

    async def range(self, start: str, end: str, *, revision: int = 0, limit: int = 0) -> Range:
        """See `Store`; raises Undecryptable."""
        found = await self.inner.range(start, end, revision=revision, limit=limit)
        if not any(start < prefix_end(prefix) and prefix < end for prefix in self.prefixes):
            return found
        return found._replace(entries=tuple(map(self._readable, found.entries)))

    async def outdated(self, key: str) -> bool:
        """See `Store`; raises Undecryptable."""
        found = await self.inner.get(key) if key.startswith(self.prefixes) else None
        if found is None:
            return await self.inner.outdated(key)
        return self.keyring.key_of(key, found.value)[0] != self.keyring.primary

    async def txn(self, guards: Sequence[Guard], ops: Sequence[Op]) -> Txn:
        """See `Store`."""
        done = await self.inner.txn(guards, [self._sealed(op) for op in ops])
        if done.ok:
            return done
        return done._replace(current=tuple(map(self._opened, done.current)))

    async def watch(self, prefix: str, after: int) -> AsyncIterator[tuple[Event, ...]]:
        """See `Store`; raises Undecryptable."""
        inner: Any = self.inner.watch(prefix, after)
        async with aclosing(inner):
            async for batch in inner:
                yield tuple(map(self._shown, batch))

    async def compact(self, revision: int) -> None:
        """See `Store`."""
        await self.inner.compact(revision)

    async def maintain(self) -> None:
        """See `Store`."""
        await self.inner.maintain()

    async def close(self) -> None:
        """See `Store`."""
        await self.inner.close()

    async def rewrite(self) -> int:
        """Encrypt with the primary key what is encrypted with another; how many values. Safe beside other
        writers.

        After it, and once the history is compacted, old keys may be retired.
        """
        changed = 0
        for prefix in self.prefixes:
            start = prefix
            while True:
                page = await self.inner.range(start, prefix_end(prefix), limit=PAGE)
                for key, value, _, revision in page.entries:
                    if self.keyring.key_of(key, value)[0] == self.keyring.primary:
                        continue
                    op = Op(key, self.keyring.seal(key, self.keyring.open(key, value)))
                    # Who wrote it meanwhile used the primary key.
                    changed += (await self.inner.txn((Guard(key, revision),), (op,))).ok
                if not page.more:
                    break
                start = page.entries[-1].key + "\0"
        return changed

    def _sealed(self, op: Op) -> Op:
        if op.value is None or not op.key.startswith(self.prefixes):
            return op
        return Op(op.key, self.keyring.seal(op.key, op.value))

    def _readable(self, entry: Entry) -> Entry:
        if not entry.key.startswith(self.prefixes):
            return entry
        return entry._replace(value=self.keyring.open(entry.key, entry.value))

    def _opened(self, entry: Entry | None) -> Entry | None:
        return self._readable(entry) if entry is not None else None

    def _shown(self, event: Event) -> Event:
        if not event.key.startswith(self.prefixes):
            return event
        return event._replace(entry=self._opened(event.entry), previous=self._opened(event.previous))
