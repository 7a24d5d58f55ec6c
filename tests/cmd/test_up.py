"""What `kijabi up` waits for, and what not."""

from __future__ import annotations

from pathlib import Path

import pytest

from kijabi.base.errors import ConfigError
from kijabi.cmd import control
from kijabi.cmd.config import ClusterConfig
from kijabi.cmd.supervisor import Status
from kijabi.cmd.up import is_hopeless, wait_ready

WRONG = "exit code 1: ConfigError: there is no file /etc/policy"


@pytest.mark.parametrize(
    ("state", "restarts", "last_exit", "hopeless"),
    [
        ("backoff", 1, WRONG, True),
        ("backoff", 0, WRONG, False),  # perhaps what was missing is there the next time
        ("starting", 1, WRONG, False),
        ("backoff", 3, "killed by SIGKILL", False),
    ],
)
def test_who_is_configured_wrongly_is_not_waited_for(state: str, restarts: int, last_exit: str, hopeless: bool) -> None:
    component = Status(name="apiserver", state=state, restarts=restarts, last_exit=last_exit)  # type: ignore[arg-type]
    assert is_hopeless(component) is hopeless


async def test_up_ends_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def reports(*_: object):  # type: ignore[no-untyped-def]
        yield [Status(name="control", state="ready"), Status(name="apiserver", state="starting")]
        yield [Status(name="control", state="ready"), Status(name="apiserver", state="backoff", last_exit=WRONG)]
        yield [
            Status(name="control", state="ready"),
            Status(name="apiserver", state="backoff", restarts=1, last_exit=WRONG),
        ]
        raise AssertionError("nobody waits for more")

    monkeypatch.setattr(control, "ask", reports)
    said: list[str] = []
    with pytest.raises(ConfigError, match=r"apiserver: backoff: exit code 1: ConfigError: there is no file"):
        await wait_ready(ClusterConfig(dir=str(tmp_path)), None, said.append)
    assert said[0] == "  control: ready"
