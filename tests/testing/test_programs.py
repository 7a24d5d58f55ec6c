"""Programs from the Go module proxy: which Go will do, and that a module of one's own is built and built again."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from kijabi.base.errors import ConfigError
from kijabi.testing.programs import Go, Programs, go_version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26)),
        ("go version go1.27rc1 linux/amd64", (1, 27)),
        ("go version devel +abc", None),
        ("", None),
    ],
)
def test_what_go_says_of_itself(text: str, version: tuple[int, int] | None) -> None:
    assert go_version(text) == version


needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="no Go on this machine: tests/clients fetches PyPI's")


@needs_go
def test_a_module_is_built_and_built_again_when_it_changes(tmp_path: Path) -> None:
    source = tmp_path / "hello"
    source.mkdir()
    (source / "go.mod").write_text("module example.com/hello\n\ngo 1.26\n")
    said: list[str] = []
    programs = Programs(said.append, tmp_path / "cache")
    for word in ("one", "two"):
        (source / "main.go").write_text(f'package main\n\nfunc main() {{ println("{word}") }}\n')
        built = programs.local(source)
        assert built == tmp_path / "cache" / "programs" / "hello"
        assert subprocess.run([built], capture_output=True, text=True).stderr == f"{word}\n"
    assert said[0] == "building hello (the first time takes minutes)"


@needs_go
def test_a_build_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module example.com/wrong\n\ngo 1.26\n")
    (tmp_path / "main.go").write_text("package main\n\nfunc main() { nothing() }\n")
    go = Go(print, tmp_path / "cache")
    with pytest.raises(ConfigError, match="undefined: nothing"):
        go.run(("build", "."), tmp_path)
