"""`kijabi rotate-key`: a new key for the Secrets on disk, and nothing left that the old ones could read.

The cluster must be down; the store's lock sees to it. It can be killed at any point and run again: the file holds old
keys and new until every value is rewritten and the history that knows the old form is compacted.
"""

from __future__ import annotations

from kijabi.cmd.apiserver import ENCRYPTED
from kijabi.cmd.config import ClusterConfig
from kijabi.store.embedded import EmbeddedStore
from kijabi.store.encrypted import EncryptedStore, Keyring


async def rotate(cluster: ClusterConfig) -> tuple[str, int]:
    """The new key's id, and how many values were encrypted with it. Raises ConfigError while the cluster runs."""
    keyring = Keyring.load(cluster.pki / "encryption.json")
    inner = EmbeddedStore.open(cluster.path / "store")
    try:
        name = keyring.rotate()
        store = EncryptedStore(inner, keyring, ENCRYPTED)
        count = await store.rewrite()
        await store.compact(store.revision)
        for old in keyring.old:
            keyring.retire(old)
    finally:
        await inner.close()
    return name, count
