"""The house style as a test: what a linter does not know."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST_FILE = 500
LONGEST_FUNCTION = 70
# Wall time and chance belong to the loop, so that a simulation can own them: only base/ may ask the machine.
FORBIDDEN_CALLS = re.compile(
    r"^(time\.(time|time_ns|monotonic|sleep)|datetime\.(now|utcnow|today)|date\.today"
    r"|random\.(random|choice|randint|randrange|shuffle|uniform|sample)|uuid\.uuid[14]|uuid4)$"
)
FORBIDDEN_NAMES = ("NotImplementedError",)


def modules(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


CODE = [pytest.param(path, id=str(path.relative_to(ROOT))) for path in modules("kijabi")]
TESTS = [pytest.param(path, id=str(path.relative_to(ROOT))) for path in modules("tests", "benchmarks")]


@pytest.mark.parametrize("path", CODE + TESTS)
def test_files_are_short_and_say_what_they_are_for(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= LONGEST_FILE
    if text.strip():
        docstring = ast.get_docstring(ast.parse(text))
        assert docstring, "no module docstring"
        assert "to be written" not in docstring


@pytest.mark.parametrize("path", CODE + TESTS)
def test_functions_are_short(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < LONGEST_FUNCTION, f"{node.name} is too long"


@pytest.mark.parametrize("path", CODE)
def test_public_things_have_docstrings(path: Path) -> None:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} has no docstring"


@pytest.mark.parametrize("path", CODE)
def test_time_and_chance_come_from_base(path: Path) -> None:
    if path.is_relative_to(ROOT / "kijabi" / "base"):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert not FORBIDDEN_CALLS.match(called), f"line {node.lineno}: {called} outside base"


@pytest.mark.parametrize("path", CODE)
def test_no_stub_and_no_orphan(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Raise) and node.exc is not None:
            assert not any(name in ast.unparse(node.exc) for name in FORBIDDEN_NAMES), f"line {node.lineno}"
        if isinstance(node, ast.ExceptHandler):
            silent = all(isinstance(step, ast.Pass) for step in node.body)
            broad = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            assert not (silent and broad), f"line {node.lineno}: an exception is swallowed"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "asyncio.create_task":
            pytest.fail(f"line {node.lineno}: a task without a parent; use a TaskGroup")


def test_no_file_names_a_machine() -> None:
    for path in ROOT.rglob("*"):
        if path.suffix in {".py", ".md", ".yaml", ".toml"} and ".venv" not in path.parts and path.is_file():
            assert "/wo" + "rk/" not in path.read_text(), path
