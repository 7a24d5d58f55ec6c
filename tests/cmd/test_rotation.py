"""`kijabi rotate-key`: what it leaves on disk, and that it can be repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from kijabi.base.errors import ConfigError
from kijabi.cmd.apiserver import ENCRYPTED
from kijabi.cmd.config import ClusterConfig
from kijabi.cmd.rotation import rotate
from kijabi.store.embedded import EmbeddedStore
from kijabi.store.encrypted import EncryptedStore, Keyring
from kijabi.store.interface import Op

SECRET, OTHER = "/registry/core/secrets/a/b", "/registry/core/pods/a/b"


@pytest.fixture
async def cluster(tmp_path: Path) -> ClusterConfig:
    """A directory whose store holds one Secret, written twice, and something else."""
    made = ClusterConfig(dir=str(tmp_path))
    made.pki.mkdir(mode=0o700)
    keyring = Keyring.load(made.pki / "encryption.json", create=True)
    store = EncryptedStore(EmbeddedStore.open(tmp_path / "store"), keyring, ENCRYPTED)
    for value in (b"first", b"second"):
        await store.txn((), (Op(SECRET, value), Op(OTHER, value)))
    await store.close()
    return made


async def test_only_the_new_key_is_left_and_reads_everything(cluster: ClusterConfig) -> None:
    assert await rotate(cluster) == ("2", 1)
    assert await rotate(cluster) == ("3", 1)
    keyring = Keyring.load(cluster.pki / "encryption.json")
    assert (keyring.primary, keyring.old) == ("3", ())
    inner = EmbeddedStore.open(cluster.path / "store")
    store = EncryptedStore(inner, keyring, ENCRYPTED)
    found = [await store.get(key) for key in (SECRET, OTHER)]
    assert [entry.value for entry in found if entry] == [b"second", b"second"]
    assert store.compacted == store.revision
    await store.close()


async def test_a_running_cluster_is_left_alone(cluster: ClusterConfig) -> None:
    before = (cluster.pki / "encryption.json").read_bytes()
    running = EmbeddedStore.open(cluster.path / "store")
    with pytest.raises(ConfigError, match="in use by process"):
        await rotate(cluster)
    await running.close()
    assert (cluster.pki / "encryption.json").read_bytes() == before
