"""Flags of the API server: how their texts are read. Fields of every kind are tried on a type of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from kijabi.apiserver import flags
from kijabi.base.errors import ConfigError


class Sample(flags.Flags, frozen=True, kw_only=True):
    """One flag of each type."""

    some_file: Path | None = None
    limit: int = 3
    ttl: flags.Seconds = flags.Seconds(60)
    enabled: bool = False
    names: tuple[str, ...] = ()


@pytest.fixture(autouse=True)
def sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flags, "Flags", Sample)
    flags._readers.cache_clear()
    yield
    flags._readers.cache_clear()


def test_each_type_is_read() -> None:
    given = ["--some-file=/etc/a", "limit=5", "ttl=1m30s", "enabled", "names=a,b", "names=c"]
    assert flags.parse(given) == Sample(
        some_file=Path("/etc/a"), limit=5, ttl=flags.Seconds(90.0), enabled=True, names=("a", "b", "c")
    )
    assert flags.parse([]) == Sample()


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("colour=red", "has no flag 'colour'"),
        ("limit=many", "invalid literal"),
        ("ttl=soon", "invalid duration"),
        ("enabled=perhaps", "neither true nor false"),
    ],
)
def test_mistakes_are_told_in_words(argument: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        flags.parse([argument])


def test_relative_paths_are_made_absolute() -> None:
    made = flags.absolute(["some-file=a/b", "some-file=/c", "some-file=-", "limit=3"], Path("/base"))
    assert made == ("some-file=/base/a/b", "some-file=/c", "some-file=-", "limit=3")
