"""What a command would do, for containers that do not exist: a few words of shell, understood and not run.

`fake` asks `interpret` how long a container's command runs, what it prints and how it ends. It knows `sleep`,
`echo`, `exit`, `true`, `false`, `hostname` and `cat`, alone or in `sh -c` joined by `;`, `&&`, `||` and newlines.
Whatever it does not know it takes for a server: it runs until it is stopped.
"""

from __future__ import annotations

import re
import shlex

import msgspec

SHELLS = ("sh", "bash", "/bin/sh", "/bin/bash", "ash")
_SEPARATOR = re.compile(r"(;|&&|\|\||\n)")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a command does. seconds: None runs until stopped. echo: it copies its input until that ends."""

    seconds: float | None = 0.0
    code: int = 0
    stdout: str = ""
    stderr: str = ""
    echo: bool = False


SERVER = Outcome(seconds=None)


def interpret(command: tuple[str, ...], hostname: str = "") -> Outcome:
    """The outcome of a command line."""
    if not command:
        return SERVER
    if command[0] in SHELLS:
        if len(command) >= 3 and command[1] == "-c":
            return _script(command[2], hostname)
        return Outcome(echo=True)
    return _simple(list(command), hostname) or SERVER


def _script(text: str, hostname: str) -> Outcome:
    """A list of simple commands; the exit code is that of the last that ran."""
    seconds, code, stdout, stderr = 0.0, 0, "", ""
    joint = ";"
    for part in _SEPARATOR.split(text):
        if _SEPARATOR.fullmatch(part):
            joint = part
            continue
        skipped = (joint == "&&" and code != 0) or (joint == "||" and code == 0)
        if not part.strip() or skipped:
            continue
        try:
            words = shlex.split(part)
        except ValueError:
            return Outcome(seconds=None, stdout=stdout, stderr=stderr)
        if words[0] == "exec":
            words = words[1:]
        outcome = _simple(words, hostname)
        if outcome is None or outcome.seconds is None or outcome.echo:
            echo = bool(outcome and outcome.echo)
            return Outcome(seconds=0.0 if echo else None, stdout=stdout, stderr=stderr, echo=echo)
        seconds, code = seconds + outcome.seconds, outcome.code
        stdout, stderr = stdout + outcome.stdout, stderr + outcome.stderr
        if words[0] == "exit":
            break
    return Outcome(seconds=seconds, code=code, stdout=stdout, stderr=stderr)


def _simple(words: list[str], hostname: str) -> Outcome | None:
    """One command, or None where it is not known."""
    to_stderr = words[-1] in (">&2", "1>&2")
    if to_stderr:
        words = words[:-1]
    match words:
        case ["sleep", amount]:
            return Outcome(seconds=_seconds(amount))
        case ["echo", *rest]:
            text = " ".join(rest) + "\n"
            return Outcome(stderr=text) if to_stderr else Outcome(stdout=text)
        case ["exit"] | ["true"] | [":"] | ["/bin/true"]:
            return Outcome()
        case ["exit", code] if code.isdigit():
            return Outcome(code=int(code))
        case ["false"] | ["/bin/false"]:
            return Outcome(code=1)
        case ["hostname"]:
            return Outcome(stdout=hostname + "\n")
        case ["cat"] | ["cat", "-"]:
            return Outcome(echo=True)
    return None


def _seconds(amount: str) -> float | None:
    """sleep's argument, with its unit; None for `infinity`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", amount)
    if not match:
        return None
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]
