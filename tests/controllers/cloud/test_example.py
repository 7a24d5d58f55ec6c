"""The example of a provider: found by its entry point, true to the contract, and at work for a Service."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from kijabi.client.client import Client
from kijabi.client.informer import Informers
from kijabi.controllers.cloud import providers
from kijabi.controllers.cloud.interface import Provider
from kijabi.controllers.config import Config
from kijabi.controllers.runtime import Context
from kijabi.testing.cloud_suite import CloudSuite
from kijabi.testing.direct import Direct
from tests.controllers.cloud.test_bare_stories import address, balanced
from tests.controllers.world import World, play

EXAMPLE = Path(__file__).parents[3] / "examples" / "cloud-provider"


@pytest.fixture(autouse=True)
def installed(tmp_path: Path) -> Iterator[None]:
    """The package as pip would have installed it: its module, and its entry points by pyproject.toml."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    (group, entries), *_ = project["entry-points"].items()
    info = tmp_path / "haproxy_cloud-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines))
    sys.path[:0] = [str(tmp_path), str(EXAMPLE)]
    yield
    del sys.path[:2]


def settings(tmp_path: Path) -> Config:
    configs = tmp_path / "haproxy"
    configs.mkdir()
    file = tmp_path / "cloud.json"
    file.write_text(json.dumps({"directory": str(configs), "addresses": ["198.51.100.1", "198.51.100.2"]}))
    return Config(root_ca="CERTIFICATE", host="test", cloud_provider="haproxy", cloud_config=str(file))


class TestExample(CloudSuite):
    @pytest.fixture(autouse=True)
    def _settings(self, tmp_path: Path, installed: None) -> None:
        self.settings = settings(tmp_path)

    async def open(self) -> Provider:
        client = Client(Direct(lambda: None))
        made = providers.make(Context(self.settings, client, Informers(client)))
        assert made is not None
        return made


def test_it_serves_a_service(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.client.create(balanced("web"))
        assert await world.until(lambda: address(world, "web")) == "198.51.100.1"
        (file,) = (tmp_path / "haproxy").iterdir()
        text = file.read_text()
        assert text.startswith("# 198.51.100.1 for ns/web\nlisten ")
        assert text.count("  server n") == 2

    play(story, config=settings(tmp_path))
