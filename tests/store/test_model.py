"""Every engine agrees with a dictionary plus a log, whatever hypothesis thinks of."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings

from kijabi.store.embedded import EmbeddedStore
from kijabi.store.encrypted import EncryptedStore, Keyring
from kijabi.store.interface import Store
from kijabi.store.memory import MemoryStore
from kijabi.store.model import StoreMachine

QUICK = settings(max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class MemoryMachine(StoreMachine):
    def open(self) -> Store:
        return MemoryStore()


class EncryptedMachine(StoreMachine):
    def open(self) -> Store:
        return EncryptedStore(MemoryStore(), Keyring.fresh(), ("/b/",))


class EmbeddedMachine(StoreMachine):
    durable = True

    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.TemporaryDirectory()

    def open(self) -> Store:
        return EmbeddedStore.open(Path(self.place.name))

    def teardown(self) -> None:
        super().teardown()
        self.place.cleanup()


TestMemoryModel = MemoryMachine.TestCase
TestMemoryModel.settings = QUICK
TestEncryptedModel = EncryptedMachine.TestCase
TestEncryptedModel.settings = QUICK
TestEmbeddedModel = EmbeddedMachine.TestCase
TestEmbeddedModel.settings = QUICK
