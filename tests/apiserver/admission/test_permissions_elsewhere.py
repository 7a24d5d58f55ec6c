"""Expressions that ask for permissions which only a webhook knows: they wait, and nobody else does."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from kijabi.api.admissionregistration.expressions import BOOL, Compiler
from kijabi.api.cel.costs import MATCH_BUDGET
from kijabi.apiserver.admission import evaluation
from kijabi.apiserver.admission.evaluation import OutOfBudget, Scope
from kijabi.apiserver.attributes import Attributes, Decision, RequestInfo, UserInfo

EXPRESSION = "authorizer.path('/a').check('get').allowed() && !authorizer.path('/b').check('get').allowed()"


class Elsewhere:
    """Answers when it is let."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gate = asyncio.Event()

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """See Authorizer."""
        await asyncio.sleep(0)
        self.asked.append(info.path)
        await self.gate.wait()
        return Decision(info.path == "/a")


def scope(authorizer: Any) -> Scope:
    nothing: Any = None
    return Scope(nothing, Attributes(user=UserInfo("jane"), resource=nothing, operation="CREATE"), authorizer)


@pytest.mark.parametrize("beside", [False, True])
async def test_the_answer_is_waited_for(beside: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "LITTLE", 1 if beside else MATCH_BUDGET)
    elsewhere = Elsewhere()
    asking = scope(elsewhere)
    program = Compiler().compile(EXPRESSION, (BOOL,))
    threads: set[int] = set()

    def work() -> bool:
        threads.add(threading.get_ident())
        return bool(asking.batch(MATCH_BUDGET).evaluate(program, EXPRESSION))

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(asking.run(work))
        async with asyncio.timeout(10):
            while not elsewhere.asked:  # noqa: ASYNC110  it is seen from outside only
                await asyncio.sleep(0)
        elsewhere.gate.set()
    assert running.result() is True
    assert elsewhere.asked == ["/a", "/b"], "each is asked once"
    assert len(threads) == 1 + beside


async def test_so_many_questions_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "MAX_QUESTIONS", 3)
    elsewhere = Elsewhere()
    elsewhere.gate.set()
    asking = scope(elsewhere)
    text = "['/a', '/b', '/c', '/d'].all(p, authorizer.path(p).check('get').allowed() || true)"
    program = Compiler().compile(text, (BOOL,))
    with pytest.raises(OutOfBudget):
        await asking.run(lambda: asking.batch(MATCH_BUDGET).evaluate(program, text))
