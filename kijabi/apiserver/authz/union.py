"""Asks each authorizer in turn; the first that allows or denies, decides. system:masters may do everything.

`server.py` asks this one for every request; `modes.py` builds it, by default from the Node authorizer and RBAC, in
that order, as kubeadm does (`--authorization-mode=Node,RBAC`).
"""

from __future__ import annotations

from collections.abc import Sequence

from kijabi.api.gotext import aggregate
from kijabi.apiserver.attributes import Authorizer, Decision, RequestInfo, UserInfo
from kijabi.apiserver.authz.rules import EVERYTHING, Resolved, Resolver

MASTERS = "system:masters"
_ALLOWED = Decision(True)


class Union:
    """Several authorizers as one."""

    def __init__(self, authorizers: Sequence[Authorizer]) -> None:
        self._authorizers = tuple(authorizers)

    def replace(self, authorizers: Sequence[Authorizer]) -> None:
        """Ask these from now on."""
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

    def rules_of(self, user: UserInfo, namespace: str) -> Resolved:
        """What all together let a user do in a namespace, as far as they can list it."""
        found = [each.rules_of(user, namespace) for each in self._authorizers if isinstance(each, Resolver)]
        return Resolved(
            tuple(rule for each in found for rule in each.rules),
            any(each.incomplete for each in found),
            tuple(error for each in found for error in each.errors),
        )


class AlwaysAllow:
    """Everybody may do everything: for tests and simulations that are not about access."""

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """See Authorizer."""
        return _ALLOWED

    def rules_of(self, user: UserInfo, namespace: str) -> Resolved:
        """See Resolver."""
        return Resolved(EVERYTHING)


class AlwaysDeny:
    """Nobody may do anything, except system:masters: what `--authorization-mode=AlwaysDeny` asks for."""

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """See Authorizer."""
        return Decision(False, "Everything is forbidden.")
