"""Metadata of every object: names, labels, owners, finalizers, and what an update may not touch."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from kijabi.api import codec
from kijabi.api.meta import ObjectMeta, Time
from kijabi.api.validation import aggregate, validate_metadata, validate_metadata_update

OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u"}
GOOD: dict[str, Any] = {"name": "web", "namespace": "default"}


def meta(**fields: Any) -> ObjectMeta:
    """Good metadata but for what is given."""
    return codec.from_builtins(ObjectMeta, GOOD | fields)


def wrong(found: ObjectMeta, **options: Any) -> str:
    """What is wrong with metadata of a new object; empty if nothing is."""
    errors = validate_metadata(found, namespaced=options.pop("namespaced", True), **options)
    return aggregate(errors) if errors else ""


NAMES = [
    ("subdomain", "web.example.com", ""),
    ("subdomain", "Web", "a lowercase RFC 1123 subdomain must consist of"),
    ("subdomain", "a" * 254, "must be no more than 253 characters"),
    ("label", "web", ""),
    ("label", "web.x", "must not contain dots"),
    ("label1035", "1web", "a DNS-1035 label must consist of"),
    ("path", "system:node", ""),
    ("path", "a/b", "may not contain '/'"),
    ("path", "..", "may not be '..'"),
    ("none", "anything at all", ""),
]


@pytest.mark.parametrize(("rule", "name", "text"), NAMES)
def test_names(rule: str, name: str, text: str) -> None:
    found = wrong(meta(name=name), name_rule=rule)
    assert (text in found) if text else not found


def test_names_and_namespaces_are_needed() -> None:
    assert wrong(meta(name="")) == "metadata.name: Required value: name or generateName is required"
    assert wrong(meta(namespace="")) == "metadata.namespace: Required value"
    assert wrong(meta(), namespaced=False) == "metadata.namespace: Forbidden: not allowed on this type"
    assert "metadata.namespace: Invalid value" in wrong(meta(namespace="A"))


def test_generated_names_may_end_in_a_dash() -> None:
    assert not wrong(meta(generateName="web-"))
    assert wrong(meta(generateName="Web-")).startswith('metadata.generateName: Invalid value: "Web-"')


MAPS = [
    ({"labels": {"app": "web", "example.com/x": ""}}, ""),
    ({"labels": {"": "x"}}, 'metadata.labels: Invalid value: "": name part must be non-empty'),
    ({"labels": {"a": "b c"}}, 'metadata.labels: Invalid value: "b c": a valid label must be an empty string or'),
    ({"annotations": {"Example.com/X": "anything\n"}}, ""),
    ({"annotations": {"a b": ""}}, 'metadata.annotations: Invalid value: "a b": name part must consist of'),
    ({"annotations": {"a": "x" * 262144}}, "metadata.annotations: Too long: may not be more than 262144 bytes"),
    ({"annotations": {"a": "x" * 262143}}, ""),
]


@pytest.mark.parametrize(("fields", "text"), MAPS)
def test_labels_and_annotations(fields: dict[str, Any], text: str) -> None:
    found = wrong(meta(**fields))
    assert (text in found) if text else not found


OWNERS = [
    ([OWNER, OWNER | {"uid": "v"}], ""),
    ([OWNER | {"uid": ""}], "metadata.ownerReferences[0].uid: Required value: must not be empty"),
    ([OWNER | {"apiVersion": ""}], "metadata.ownerReferences[0].apiVersion: Required value: must not be empty"),
    ([OWNER | {"apiVersion": "a/b/c"}], "must be <group>/<version> or <version>"),
    ([OWNER | {"apiVersion": "v1", "kind": "Event"}], "/v1, Kind=Event is disallowed from being an owner"),
    (
        [OWNER | {"controller": True}, OWNER | {"controller": True, "name": "b"}],
        'Only one reference can have Controller set to true. Found "true" in references for ReplicaSet/web and '
        "ReplicaSet/b",
    ),
]


@pytest.mark.parametrize(("owners", "text"), OWNERS)
def test_owners(owners: list[dict[str, Any]], text: str) -> None:
    found = wrong(meta(ownerReferences=owners))
    assert (text in found) if text else not found


FINALIZERS = [
    (["example.com/x", "foregroundDeletion"], True, ""),
    (["mine"], False, ""),
    (["mine"], True, 'metadata.finalizers[0]: Invalid value: "mine": name is neither a standard finalizer name'),
    (["a b"], False, 'metadata.finalizers: Invalid value: "a b": name part must consist of'),
    (["orphan", "foregroundDeletion"], True, "finalizer orphan and foregroundDeletion cannot be both set"),
]


@pytest.mark.parametrize(("finalizers", "known", "text"), FINALIZERS)
def test_finalizers(finalizers: list[str], known: bool, text: str) -> None:
    found = wrong(meta(finalizers=finalizers), known_finalizers=known)
    assert (text in found) if text else not found


OLD = meta(uid="u", resourceVersion="5", generation=2, creationTimestamp="2026-01-01T00:00:00Z")
UPDATES = [
    ({}, ""),
    ({"labels": {"a": "b"}, "finalizers": ("example.com/x",), "generation": 3}, ""),
    ({"name": "other"}, 'metadata.name: Invalid value: "other": field is immutable'),
    ({"uid": "v"}, 'metadata.uid: Invalid value: "v": field is immutable'),
    ({"creationTimestamp": Time("2026-01-02T00:00:00Z")}, "metadata.creationTimestamp: Invalid value: "),
    ({"generation": 1}, "metadata.generation: Invalid value: 1: must not be decremented"),
    ({"resourceVersion": ""}, 'metadata.resourceVersion: Invalid value: "": must be specified for an update'),
    ({"labels": {"a": "b c"}}, "metadata.labels: Invalid value"),
]


@pytest.mark.parametrize(("fields", "text"), UPDATES)
def test_updates(fields: dict[str, Any], text: str) -> None:
    errors = validate_metadata_update(structs.replace(OLD, **fields), OLD)
    assert (text in aggregate(errors)) if text else not errors


def test_nothing_new_holds_back_what_is_being_deleted() -> None:
    old = structs.replace(OLD, deletionTimestamp=Time("2026-01-02T00:00:00Z"), finalizers=("example.com/a",))
    assert not validate_metadata_update(structs.replace(old, finalizers=()), old)
    errors = validate_metadata_update(structs.replace(old, finalizers=("example.com/b", "example.com/a")), old)
    assert aggregate(errors) == (
        "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new "
        'finalizers []string{"example.com/b"}'
    )


@given(st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3))
def test_any_labels_are_judged(labels: dict[str, str]) -> None:
    wrong(structs.replace(meta(), labels=labels, annotations=labels))
