"""The catalog against the resources of a v1.37 API server."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from kijabi.api import catalog
from kijabi.api.core.pod import Pod
from kijabi.api.meta import DeleteOptions, ObjectMeta, Status
from kijabi.api.table import Table

GOLDEN = Path(__file__).parents[1] / "golden" / "resources" / "v1.37.tsv"
with GOLDEN.open() as file:
    ROWS = list(csv.DictReader(file, delimiter="\t"))
MAIN = [row for row in ROWS if not row["subresource"]]
SUB = [row for row in ROWS if row["subresource"]]


def words(text: str) -> set[str]:
    return set(text.split(",")) - {""}


def test_nothing_is_missing_and_nothing_is_made_up() -> None:
    there = [resource for resource in catalog.RESOURCES if not resource.gate]  # by default
    ours = {(resource.group, resource.version, resource.plural) for resource in there}
    # upstream leaves these to the metrics server
    ours -= {("metrics.k8s.io", version, plural) for version in ("v1", "v1beta1") for plural in ("nodes", "pods")}
    assert ours == {(row["group"], row["version"], row["resource"]) for row in MAIN}
    assert len(ours) == len(there) - 4


@pytest.mark.parametrize("row", MAIN, ids=[f"{row['group']}/{row['version']}/{row['resource']}" for row in MAIN])
def test_a_resource_is_as_upstream_discovers_it(row: dict[str, str]) -> None:
    resource = catalog.by_plural(row["group"], row["version"], row["resource"])
    assert resource is not None
    assert resource.kind == row["kind"] == resource.type.__name__
    assert resource.namespaced == (row["namespaced"] == "true")
    assert set(resource.verbs) == words(row["verbs"])
    assert set(resource.short) == words(row["shortNames"])
    assert set(resource.categories) == words(row["categories"])
    assert resource.singular == row["singular"]
    assert catalog.by_kind(row["group"], row["version"], row["kind"]) is resource
    assert catalog.by_type(resource.type) is resource
    subs = {sub["subresource"] for sub in SUB if sub["resource"] == row["resource"] and _same_group(sub, row)}
    assert {sub.name for sub in resource.subresources} == subs


def _same_group(left: dict[str, str], right: dict[str, str]) -> bool:
    return (left["group"], left["version"]) == (right["group"], right["version"])


@pytest.mark.parametrize("row", SUB, ids=[f"{row['group']}/{row['resource']}/{row['subresource']}" for row in SUB])
def test_a_subresource_is_as_upstream_discovers_it(row: dict[str, str]) -> None:
    resource = catalog.by_plural(row["group"], row["version"], row["resource"])
    assert resource is not None
    sub = next(sub for sub in resource.subresources if sub.name == row["subresource"])
    assert sub.kind == row["kind"]
    assert set(sub.verbs) == words(row["verbs"])
    group, _, version = row["responseGV"].rpartition("/")
    assert (sub.group, sub.version) == (group, version)


def test_identities() -> None:
    assert catalog.identity(Pod) == ("v1", "Pod")
    assert catalog.identity(Status) == ("v1", "Status")
    assert catalog.identity(Table) == ("meta.k8s.io/v1", "Table")
    assert catalog.identity(ObjectMeta) == ("", "")
    assert catalog.type_of("", "v1", "DeleteOptions") is DeleteOptions
    assert catalog.type_of("policy", "v1", "Eviction") is not None
    assert catalog.type_of("", "v1", "Nothing") is None
    assert catalog.by_plural("", "v1", "nothings") is None


def test_importing_the_catalog_pulls_in_nothing_heavy() -> None:
    heavy = ["aiohttp", "grpc", "cryptography", "yaml", "kubernetes", "numpy", "kijabi.client"]
    code = f"import sys, kijabi.api.catalog; print([name for name in {heavy!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
