"""Every kind's rules against the answers of Kubernetes: what is accepted and becomes of it, what is refused and why."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from kijabi.api import codec
from tests.api.writes import Refused, changed, create, resource_of, stored, update

GOLDEN = Path(__file__).parents[1] / "golden/rules"


class Loader(yaml.SafeLoader):
    """Times stay texts."""


Loader.yaml_implicit_resolvers = {
    start: [(tag, form) for tag, form in found if not tag.endswith(":timestamp")]
    for start, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@cache
def objects() -> dict[str, Any]:
    """The objects by kind and name."""
    found = yaml.load_all((GOLDEN / "objects.yaml").read_text(), Loader)
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in found}


def created() -> list[Any]:
    """What becomes of them."""
    lines = (GOLDEN / "created.jsonl").read_text().splitlines()
    return [
        pytest.param(line, id=f"{line['object']['kind']}/{line['object']['metadata']['name']}")
        for line in map(json.loads, lines)
    ]


def bare(value: Any) -> Any:
    """Without what the two may write or leave out when it is empty."""
    if isinstance(value, dict):
        return {key: bare(item) for key, item in value.items() if item not in (None, {}, [])}
    return [bare(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("line", created())
def test_what_is_created(line: dict[str, Any]) -> None:
    wanted = line["object"]
    obj = create(objects()[f"{wanted['kind']}/{wanted['metadata']['name']}"])
    found = bare(codec.to_builtins(obj))
    found["metadata"].pop("creationTimestamp")
    found.get("status", {}).pop("lastPhaseTransitionTime", None)
    for condition in found.get("status", {}).get("conditions", ()):
        condition.pop("lastTransitionTime", None)
    assert found == wanted
    assert list(resource_of(wanted).warnings(obj)) == line.get("warnings", [])


def refusals() -> dict[str, list[list[str]]]:
    """The recorded answers by object."""
    found: dict[str, list[list[str]]] = {}
    for line in (GOLDEN / "refusals.tsv").read_text().splitlines():
        if not line.startswith("#"):
            name, *row = line.split("\t")
            found.setdefault(name, []).append(row)
    return found


REFUSALS = refusals()


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_refused(name: str) -> None:
    base = objects()[name]
    before = stored(base, base.get("status"))
    wrong = []
    for operation, pointer, text, answer in REFUSALS[name]:
        value = json.loads(text) if text else msgspec.UNSET
        try:
            if operation == "create":
                create(changed(base, pointer, value))
            else:
                update(changed(before, pointer, value), before, "status" if operation == "status" else "")
            found = "accepted"
        except Refused as refused:
            found = str(refused)
        if found != json.loads(answer):
            wrong.append(f"{operation} {pointer} {text}\n  wanted {json.loads(answer)}\n  found  {found}")
    assert not wrong, "\n".join(wrong)


def test_an_update_without_a_change_is_good() -> None:
    for base in objects().values():
        before = stored(base, base.get("status"))
        after = update(before, before)
        assert after.metadata.generation == before["metadata"].get("generation", 0)
