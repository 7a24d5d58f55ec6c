"""What may change about a claim's class."""

from __future__ import annotations

import pytest

from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim, PersistentVolumeClaimSpec
from kijabi.api.core.persistentvolumeclaim_rules import validate_update
from kijabi.api.meta import ObjectMeta
from kijabi.api.storage.matching import BETA_CLASS


def claim(name: str | None, annotation: str | None = None) -> PersistentVolumeClaim:
    """A claim with a class in its field, or in the old annotation."""
    meta = ObjectMeta(name="c", annotations={} if annotation is None else {BETA_CLASS: annotation})
    return PersistentVolumeClaim(metadata=meta, spec=PersistentVolumeClaimSpec(storageClassName=name))


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        (claim(None), claim("a"), []),
        (claim(None), claim(""), []),
        (claim("a"), claim("b"), ["spec"]),
        (claim(""), claim("b"), ["spec"]),
        (claim("a"), claim(None), ["spec"]),
        (claim(None, "a"), claim("a"), []),
        (claim(None, "a"), claim("a", "a"), []),
        (claim(None, "a"), claim("b", "a"), ["spec"]),
        (claim(None, "a"), claim(None), [f"metadata.annotations[{BETA_CLASS}]"]),
        (claim("a", "a"), claim("a"), [f"metadata.annotations[{BETA_CLASS}]"]),
        (claim(None), claim(None, "a"), [f"metadata.annotations[{BETA_CLASS}]"]),
    ],
)
def test_a_class_is_given_once(old: PersistentVolumeClaim, new: PersistentVolumeClaim, wrong: list[str]) -> None:
    assert [error.field for error in validate_update(new, old)] == wrong
