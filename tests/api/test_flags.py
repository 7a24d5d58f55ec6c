"""Flags of components: how their texts are read, tried on a type with a field of every kind."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from kijabi.api import flags
from kijabi.base.errors import ConfigError


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One flag of each type."""

    some_file: Path | None = None
    limit: int = 3
    ttl: flags.Seconds = flags.Seconds(60)
    enabled: bool = False
    names: tuple[str, ...] = ()


READER = flags.Reader(Sample, "--an-arg", "the sample")


def test_each_type_is_read() -> None:
    given = ["--some-file=/etc/a", "limit=5", "ttl=1m30s", "enabled", "names=a,b", "names=c"]
    assert READER.parse(given) == Sample(
        some_file=Path("/etc/a"), limit=5, ttl=flags.Seconds(90.0), enabled=True, names=("a", "b", "c")
    )
    assert READER.parse([]) == Sample()


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("colour=red", "--an-arg 'colour=red': the sample has no flag 'colour'"),
        ("limit=many", "invalid literal"),
        ("ttl=soon", "invalid duration"),
        ("enabled=perhaps", "neither true nor false"),
    ],
)
def test_mistakes_are_told_in_words(argument: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        READER.parse([argument])


def test_relative_paths_are_made_absolute() -> None:
    made = READER.absolute(["some-file=a/b", "some-file=/c", "some-file=-", "limit=3"], Path("/base"))
    assert made == ("some-file=/base/a/b", "some-file=/c", "some-file=-", "limit=3")
