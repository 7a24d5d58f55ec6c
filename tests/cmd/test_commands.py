"""The command line as a user meets it, without a cluster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from kijabi.base import log
from kijabi.cmd.config import ClusterConfig
from kijabi.cmd.main import main

COMPONENTS = ("apiserver", "controller-manager", "scheduler", "kubelet", "proxy", "dns")


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, arguments)
    return done.exit_code, done.output


def test_help_names_every_command_with_a_line_each() -> None:
    code, text = run("--help")
    assert code == 0
    for name in ("up", "down", "status", "logs", "kubeconfig", "doctor", *COMPONENTS):
        assert f"\n  {name} " in text


@pytest.mark.parametrize("name", COMPONENTS)
def test_components_explain_their_options(name: str) -> None:
    code, text = run(name, "--help")
    assert code == 0
    assert "--data-dir" in text
    assert name == "apiserver" or "--kubeconfig" in text


@pytest.mark.parametrize("command", ["status", "down", "kubeconfig", *COMPONENTS])
def test_without_a_cluster_every_command_says_so(command: str, tmp_path: Path) -> None:
    node = ("--node-name", "node-1") if command in ("kubelet", "proxy") else ()
    code, text = run(command, "--data-dir", str(tmp_path), *node)
    assert code == 1
    assert f"no cluster in {tmp_path}: start one with `kijabi up --data-dir {tmp_path}`" in text


def test_logs_are_shown_for_people(tmp_path: Path) -> None:
    cluster = ClusterConfig(dir=str(tmp_path))
    cluster.save()
    cluster.logs.mkdir()
    lines = [
        {
            "time": f"2026-01-01T00:00:0{n}.000Z",
            "level": "info",
            "component": "control",
            "logger": "kijabi.x",
            "message": "hi",
        }
        for n in range(3)
    ]
    (cluster.logs / "control.log").write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, text = run("logs", "control", "--data-dir", str(tmp_path), "-n", "2")
    assert code == 0
    assert text.splitlines() == [log.render(json.dumps(line)) for line in lines[1:]]
    code, text = run("logs", "nobody", "--data-dir", str(tmp_path))
    assert code == 1
    assert "no log of 'nobody'; there are: control" in text


def test_purge_of_what_is_not_there_is_fine(tmp_path: Path) -> None:
    code, text = run("down", "--purge", "--data-dir", str(tmp_path / "none"))
    assert (code, text) == (0, f"There is no cluster in {tmp_path / 'none'}\n")
