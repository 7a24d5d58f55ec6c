"""Asks each authorizer in turn; the first that allows, decides. Members of system:masters may do everything.

`server.py` asks this one for every request; `app.py` builds it from the Node authorizer and RBAC, in that
order, as kubeadm does (`--authorization-mode=Node,RBAC`).
"""

from __future__ import annotations

from collections.abc import Sequence

from kijabi.apiserver.attributes import Authorizer, Decision, RequestInfo, UserInfo

MASTERS = "system:masters"
_ALLOWED = Decision(True)


class Union:
    """Several authorizers as one."""

    def __init__(self, authorizers: Sequence[Authorizer]) -> None:
        self._authorizers = tuple(authorizers)

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """What the first says who allows or denies; otherwise the reasons and errors of all who had some."""
        if MASTERS in user.groups:
            return _ALLOWED
        reasons: list[str] = []
        errors: list[str] = []
        for authorizer in self._authorizers:
            decision = await authorizer.authorize(user, info)
            if decision.allowed or decision.denied:
                return decision
            if decision.reason:
                reasons.append(decision.reason)
            if decision.error:
                errors.append(decision.error)
        return Decision(False, "\n".join(reasons), error=aggregate(errors))


def aggregate(errors: Sequence[str]) -> str:
    """Several errors in one text, as k8s.io/apimachinery `pkg/util/errors` shows them: each once."""
    texts = list(dict.fromkeys(errors))
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]" if texts else ""


class AlwaysAllow:
    """Everybody may do everything: for tests and simulations that are not about access."""

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """See Authorizer."""
        return _ALLOWED


class AlwaysDeny:
    """Nobody may do anything, except system:masters: what `--authorization-mode=AlwaysDeny` asks for."""

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """See Authorizer."""
        return Decision(False, "Everything is forbidden.")
