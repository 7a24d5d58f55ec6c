"""Logs: one JSON object a line, bounded files, and people can read them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from kijabi.base import log


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers = handlers
    root.setLevel(level)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_has_it_all(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "kubelet.log"
    log.setup("kubelet", path)
    logging.getLogger("kijabi.kubelet.loop").info("pod %s", "web", extra={"uid": "u1", "tries": 3, "path": Path("/x")})
    logging.getLogger("kijabi").debug("not shown")
    (line,) = lines(path)
    assert str(line.pop("time")).endswith("Z")
    assert line == {
        "level": "info",
        "component": "kubelet",
        "logger": "kijabi.kubelet.loop",
        "message": "pod web",
        "uid": "u1",
        "tries": 3,
        "path": "/x",
    }
    assert path.stat().st_mode & 0o007 == 0


def test_odd_values_do_not_break_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    log.setup("a", path, level="debug")
    logger = logging.getLogger("x")
    cycle: list[object] = []
    cycle.append(cycle)
    logger.info("two\nlines \x00", extra={"level": "mine", "set": {1}, "nan": float("nan"), "big": "x" * 50_000})
    logger.info("cycle", extra={"cycle": cycle, "keys": {(1, 2): 3}})
    try:
        raise ValueError("bad")
    except ValueError:
        logger.exception("failed")
    first, second, third = lines(path)
    assert (first["message"], first["level"], first["level_"]) == ("two\nlines \x00", "info", "mine")
    assert len(str(first["big"])) < 20_000
    assert second["message"] == "cycle"
    assert "ValueError: bad" in str(third["traceback"])


def test_files_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    log.setup("a", path, max_bytes=2000, keep=2)
    for number in range(100):
        logging.getLogger("x").info("line %d", number)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["a.log", "a.log.1", "a.log.2"]
    assert all(file.stat().st_size <= 2000 for file in files)
    kept = [line["message"] for file in reversed(files) for line in lines(file)]
    assert kept == [f"line {number}" for number in range(100 - len(kept), 100)]


def test_it_goes_on_in_the_file_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    for component in ("first", "second"):
        log.setup(component, path)
        logging.getLogger("x").warning("here")
    assert [line["component"] for line in lines(path)] == ["first", "second"]


def test_a_full_disk_loses_lines_only() -> None:
    handler = log.RotatingFile(Path("/dev/full"))
    handler.setFormatter(log.JsonFormatter("a"))
    handler.handle(logging.makeLogRecord({"msg": "lost"}))
    assert handler.lost == 1
    handler.close()


def test_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    log.setup("cli")
    logging.getLogger("kijabi.x").error("oops")
    assert json.loads(capsys.readouterr().err)["message"] == "oops"


def test_rendered_for_people() -> None:
    line = (
        '{"time":"2026-01-01T00:00:00.000Z","level":"info","component":"a","logger":"kijabi.client.informer",'
        '"message":"synced","kind":"Pod","objects":3,"why":"two words"}\n'
    )
    assert log.render(line) == (
        '2026-01-01T00:00:00.000Z INFO    client.informer: synced kind=Pod objects=3 why="two words"'
    )
    assert log.render("panic: not json\n") == "panic: not json"
    assert log.render("[1]") == "[1]"
    assert log.render('{"message":"m","traceback":"Traceback\\nValueError"}').endswith("m\nTraceback\nValueError")
