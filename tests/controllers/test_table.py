"""docs/controllers.md has a row for every controller that there is, with the file that it is really in."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from kijabi.controllers import catalog
from kijabi.controllers.cloud.node import CloudNodes
from kijabi.controllers.cloud.nodelifecycle import CloudNodeLifecycle
from kijabi.controllers.cloud.route import CloudRoutes
from kijabi.controllers.cloud.service import ServiceBalancers

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| ([a-z0-9-]+) \| `([\w/.]+)` \| ([^|]+) \|", re.MULTILINE)
ROWS = ROW.findall((ROOT / "docs" / "controllers.md").read_text())
CLOUD = (CloudNodes, CloudNodeLifecycle, CloudRoutes, ServiceBalancers)


@pytest.mark.parametrize("kind", [*catalog.CONTROLLERS, *catalog.ON_REQUEST, *CLOUD], ids=lambda kind: str(kind.name))
def test_every_controller_has_a_row(kind: catalog.Kind) -> None:
    assert inspect.isclass(kind)
    file = Path(inspect.getfile(kind)).relative_to(ROOT)
    assert any(str(file).startswith(row[1]) for row in ROWS), f"no row for {file}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_rows_name_what_is_there(row: tuple[str, str, str]) -> None:
    _, file, tests = row
    assert (ROOT / file).exists()
    found = re.findall(r"`([\w/.]+)`", tests)
    assert found
    assert all((ROOT / test).is_file() for test in found)
