"""What is said about the members of types: nothing is missing, nothing is left over, and kubectl shows it."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from kijabi import api
from kijabi.api import catalog
from kijabi.api.apps.deployment import DeploymentStrategy
from kijabi.api.core.container import Container, EphemeralContainer
from kijabi.api.core.env import SecretKeySelector
from kijabi.api.core.pod import Pod
from kijabi.api.core.probe import Probe
from kijabi.api.core.reference import LocalObjectReference
from kijabi.api.meta import DeleteOptions, Object, Status
from kijabi.api.resource import Resource
from kijabi.api.shape import Shape, fields
from kijabi.api.struct import Struct
from kijabi.apiserver.openapi.schema import describe
from kijabi.apiserver.openapi.texts import LIKE, SUFFIX, Texts, place, read
from tests.apiserver.test_http import listening

LENGTHS = range(12, 301)
ROOT = Path(api.__path__[0])
MODULES = sorted(
    ".".join((api.__name__, *path.relative_to(ROOT).with_suffix("").parts)) for path in ROOT.rglob(f"*{SUFFIX}")
)


def held(shape: Shape | None) -> Iterator[type[Struct]]:
    """The types that a value of this shape holds."""
    if shape is not None:
        if shape.struct is not None:
            yield shape.struct
        for inner in (shape.item, *shape.options):
            yield from held(inner)


def reachable(*types: type[Struct]) -> set[type[Struct]]:
    """Types and all that they consist of."""
    todo, found = list(types), set(types)
    while todo:
        for member in fields(todo.pop()).values():
            new = set(held(member.shape)) - found
            found |= new
            todo += new
    return found


def sections(module: str) -> Iterator[tuple[type[Struct], dict[str, str]]]:
    """The types that a file of texts is about, with what it says."""
    for name, texts in read(module).items():
        yield getattr(import_module(module), name), texts


@pytest.mark.parametrize("resource", catalog.RESOURCES, ids=lambda each: f"{each.kind}.{each.version}.{each.group}")
def test_every_member_of_every_kind_is_described(resource: Resource) -> None:
    texts = Texts()
    subresources = [each.type for each in resource.subresources if each.type is not None]
    types = reachable(resource.type, Status, DeleteOptions, *subresources)
    missing = [f"{cls.__name__}.{name}" for cls in types for name in fields(cls) if not texts.of(cls, name)]
    assert missing == []


@pytest.mark.parametrize("module", MODULES)
def test_texts_are_about_what_exists(module: str) -> None:
    texts = Texts()
    for cls, own in sections(module):
        assert cls.__module__ == module, f"{cls.__name__} is only imported there"
        unknown = own.keys() - fields(cls).keys() - {LIKE}
        assert not unknown, f"{cls.__name__} has no {unknown}"
        if LIKE in own:
            other, _, name = own[LIKE].rpartition(".")
            model = getattr(import_module(f"{api.__name__}.{other}" if other else module), name)
            shared = fields(model).keys() & fields(cls).keys() - own.keys()
            assert any(texts.of(cls, each) for each in shared), f"{cls.__name__} takes nothing from {own[LIKE]}"


@pytest.mark.parametrize("module", MODULES)
def test_texts_are_short_sentences(module: str) -> None:
    for cls, own in sections(module):
        for name, text in own.items():
            assert name == LIKE or (len(text) in LENGTHS and text.endswith(".")), f"{cls.__name__}.{name}: {text}"


@pytest.mark.parametrize("module", MODULES)
def test_lines_are_as_short_as_in_code(module: str) -> None:
    lines = place(module).read_text().splitlines()
    assert len(lines) <= 500
    assert [line for line in lines if len(line) > 120] == []


def test_a_type_describes_inherited_members_anew_or_not_at_all() -> None:
    texts = Texts()
    assert texts.of(SecretKeySelector, "name") != texts.of(LocalObjectReference, "name")
    assert texts.of(Pod, "metadata") == texts.of(Object, "metadata")
    assert texts.of(EphemeralContainer, "image") == texts.of(Container, "image")
    assert "Not allowed" in texts.of(EphemeralContainer, "ports")
    assert texts.of(EphemeralContainer, "nothing") == ""


async def explain(home: Path, server: str, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "kubectl", "explain", "--server", server, *arguments, stdout=-1, stderr=-1,
        env={"HOME": str(home), "PATH": os.environ["PATH"], "KUBECONFIG": "/dev/null"},
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err
    return " ".join(out.decode().split())


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("output", ["plaintext", "plaintext-openapiv2"], ids=["v3", "v2"])
async def test_kubectl_explains(output: str, tmp_path: Path) -> None:
    texts = Texts()
    async with listening() as site:
        server = f"http://127.0.0.1:{site.http.port}"
        shown = await explain(tmp_path, server, "deployment.spec.strategy", "--output", output)
        assert describe(DeploymentStrategy) in shown
        for name in fields(DeploymentStrategy):
            assert texts.of(DeploymentStrategy, name) in shown
        tree = await explain(tmp_path, server, "pod.spec.containers.livenessProbe", "--recursive", "--output", output)
        for name in fields(Probe):
            assert name in tree
        image = await explain(tmp_path, server, "pods.spec.containers.image", "--output", output)
        assert texts.of(Container, "image") in image
