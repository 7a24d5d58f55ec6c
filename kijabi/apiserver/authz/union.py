"""Asks each authorizer in turn; the first that allows, decides. Members of system:masters may do everything.

`server.py` asks this one for every request; `app.py` builds it from the Node authorizer and RBAC, in that
order, as kubeadm does (`--authorization-mode=Node,RBAC`).
"""

from __future__ import annotations

from collections.abc import Sequence

from kijabi.apiserver.attributes import Authorizer, Decision, RequestInfo, UserInfo

MASTERS = "system:masters"


class Union:
    """Several authorizers as one."""

    def __init__(self, authorizers: Sequence[Authorizer]) -> None:
        self._authorizers = tuple(authorizers)

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """Allowed if anybody says so; otherwise the reasons of all who gave one, a line each."""
        if MASTERS in user.groups:
            return Decision(True)
        reasons: list[str] = []
        for authorizer in self._authorizers:
            decision = await authorizer.authorize(user, info)
            if decision.allowed:
                return decision
            if decision.reason:
                reasons.append(decision.reason)
        return Decision(False, "\n".join(reasons))


class AlwaysAllow:
    """Everybody may do everything: for tests and simulations that are not about access."""

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """See Authorizer."""
        return Decision(True)
