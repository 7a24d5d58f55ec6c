"""Exchanges with the server as readable transcripts: tests/golden/http/*.txt.

A transcript is requests with the answers under them (lines that begin with `<`). `REWRITE=1 pytest …` writes the
answers anew; read the difference before you commit it. In virtual time everything repeats but the revisions that the
default objects take, so versions are written relative to where the server began.

    POST /path            a request: headers and then the body follow, until an empty line
    WATCH name /path      begin a watch; EVENTS name shows what it has seen
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kijabi.client.transport import Response
from kijabi.testing.simloop import run
from tests.apiserver.world import Watching, World, running

FOLDER = Path(__file__).parents[1] / "golden" / "http"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "WATCH", "EVENTS")


def blocks(text: str) -> list[list[str]]:
    """The parts between empty lines, without earlier answers."""
    kept = [line for line in text.splitlines() if not line.startswith("<")]
    parts = "\n".join(kept).split("\n\n")
    return [part.strip("\n").split("\n") for part in parts if part.strip()]


async def play(text: str) -> str:
    """The transcript with the answers of now."""
    async with running() as world:
        base = world.app.caches.revision
        watches: dict[str, Watching] = {}
        shown: list[str] = []
        for lines in blocks(text):
            shown.append("\n".join(lines))
            if lines[0].startswith(METHODS):
                shown[-1] += await answer(world, watches, lines, base)
        return "\n\n".join(shown) + "\n"


async def answer(world: World, watches: dict[str, Watching], lines: list[str], base: int) -> str:
    method, *words = lines[0].split()
    if method == "WATCH":
        watches[words[0]] = await world.watch(words[1])
        return ""
    if method == "EVENTS":
        return "".join(f"\n< {stable(each, base)}" for each in await watches[words[0]].events())
    headers = dict(line.split(": ", 1) for line in lines[1:] if re.match(r"[a-z-]+: ", line))
    body = next((line for line in lines[1:] if not re.match(r"[a-z-]+: ", line)), "")
    found = await world.ask(method, words[0], body.encode() or None, headers)
    assert isinstance(found, Response)
    shown = f"\n< {found.status} {found.headers['Content-Type']}"
    for name in ("Warning", "Retry-After"):
        if name in found.headers:
            shown += f"\n< {name}: {found.headers[name]}"
    if found.headers["Content-Type"] != "application/json":
        return shown + f"\n< {found.body.decode().rstrip()}"
    return shown + f"\n< {stable(msgspec.json.decode(found.body), base)}"


def stable(value: Any, base: int) -> str:
    """JSON with uids numbered away and versions counted from the server's beginning."""
    text = msgspec.json.encode(value).decode()
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "UID", text)
    return re.sub(r'"resourceVersion":"(\d+)"', lambda m: f'"resourceVersion":"+{int(m[1]) - base}"', text)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    text = path.read_text()
    now = run(play(text))
    if os.environ.get("REWRITE"):
        path.write_text(now)
    assert now == path.read_text()
