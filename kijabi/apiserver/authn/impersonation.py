"""Impersonation: one user acts as another, if he may (`kubectl --as`; documentation "User impersonation").

`chain.py` calls it after it knows who asks. There are several ways to be allowed, tried in turn: those of constrained
impersonation (KEP-5284), which name what is worn and what may be done in it (`impersonate:user-info` on users and
groups together with `impersonate-on:user-info:list` on pods), and the old one, the verb `impersonate` on each part of
the mask, with which everything may be done. Source: k8s.io/apiserver `pkg/endpoints/filters/impersonation`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from urllib.parse import unquote

import msgspec
from msgspec.structs import replace

from kijabi.api.gotext import quote
from kijabi.api.validation import aggregate, domain_prefixed
from kijabi.apiserver import requestinfo
from kijabi.apiserver.attributes import Authorizer, Decision, RequestInfo, UserInfo
from kijabi.apiserver.authn import names
from kijabi.apiserver.denial import forbidden
from kijabi.base.errors import BadRequest, Forbidden
from kijabi.base.expiring import Expiring
from kijabi.client.transport import Request

USER, GROUP, UID = "impersonate-user", "impersonate-group", "impersonate-uid"
EXTRA = "impersonate-extra-"
GROUP_NAME = "authentication.k8s.io"
MANY = 4  # groups or extra values, from which on it is first asked whether all are allowed
SECONDS = 10.0  # that a permission is remembered
REMEMBERED = 4096  # permissions of each kind
REMEMBERED_WAYS = 10_000  # users whose last way is tried first
_NODE_KEYS = "authentication.kubernetes.io/associated-node-keys"

Fits = Callable[[UserInfo, UserInfo], bool]  # who is wanted, who asks


def wanted(request: Request) -> bool:
    """Does a request ask for another identity?"""
    return any(name.startswith("impersonate-") for name in request.headers)


def values(request: Request, name: str) -> list[str]:
    """All values of a header that may be repeated; the HTTP side joins repetitions with a line feed, which no
    header value can hold."""
    text = request.headers.get(name)
    return text.split("\n") if text is not None else []


class Impersonation:
    """Decides who may act as whom. constrained: whether the ways of KEP-5284 are open."""

    def __init__(self, authorizer: Authorizer, *, constrained: bool = True) -> None:
        legacy = _Mask(authorizer, "impersonate", "")
        self._ways: list[_Way] = [_Way(legacy)]
        if constrained:
            self._ways = [
                _Associated(authorizer),
                _Constrained(authorizer, "arbitrary-node", lambda who, _: _bare(who) and bool(names.node(who.name))),
                _Constrained(authorizer, "serviceaccount", lambda who, _: _bare(who) and _account(who)),
                _Constrained(authorizer, "user-info", lambda who, _: not names.node(who.name) and not _account(who)),
                _Way(legacy),
            ]
        self._last: Expiring[str, int] = Expiring(REMEMBERED_WAYS)

    async def impersonate(self, request: Request, user: UserInfo) -> tuple[UserInfo, str]:
        """The user whom `user` acts as, and the verb of constrained impersonation that let him, if one did.

        The headers that asked for it are taken off the request. Raises BadRequest without a user to act as, Forbidden
        when `user` may not.
        """
        who = _wanted(request)
        if who is None:
            return user, ""
        info = requestinfo.parse(request)
        failure: Forbidden | None = None
        first = self._last.get(user.name)
        for index in sorted(range(len(self._ways)), key=lambda each: each != first):
            way = self._ways[index]
            try:
                found = await way.check(who, user, info)
            except Forbidden as error:
                failure = failure or error
                continue
            if found is not None:
                self._last.put(user.name, index, float("inf"))
                return found, way.constraint
        raise failure or Forbidden("all impersonation modes failed")


def _wanted(request: Request) -> UserInfo | None:
    """Whom a request asks to act as, in the headers' words; they are taken off. Raises BadRequest."""
    headers = request.headers
    extra: dict[str, tuple[str, ...]] = {}
    for header in sorted(headers):
        if header.startswith(EXTRA):
            key = unquote(header.removeprefix(EXTRA).lower())
            extra[key] = (*extra.get(key, ()), *values(request, header))
    name, uid = headers.get(USER, "").split("\n")[0], headers.get(UID, "").split("\n")[0]
    who = UserInfo(name, uid=uid, groups=tuple(values(request, GROUP)), extra=extra)
    if not name:
        if uid or who.groups or extra:
            raise BadRequest(f"requested {_go_text(who)} without impersonating a user name")
        return None
    for header in [each for each in headers if each in (USER, GROUP, UID) or each.startswith(EXTRA)]:
        del headers[header]
    return who


def _go_text(user: UserInfo) -> str:
    """A user as Go shows one with %#v, for the text that is part of the API."""
    groups = f"[]string{{{', '.join(map(quote, user.groups))}}}" if user.groups else "[]string(nil)"
    pairs = (f"{quote(key)}:[]string{{{', '.join(map(quote, each))}}}" for key, each in sorted(user.extra.items()))
    extra = f"map[string][]string{{{', '.join(pairs)}}}" if user.extra else "map[string][]string(nil)"
    return f"&user.DefaultInfo{{Name:{quote(user.name)}, UID:{quote(user.uid)}, Groups:{groups}, Extra:{extra}}}"


def _bare(user: UserInfo) -> bool:
    return not user.uid and not user.groups and not user.extra


def _account(user: UserInfo) -> bool:
    return names.split(user.name) is not None


def _key(*parts: object) -> bytes:
    return hashlib.sha256(msgspec.msgpack.encode(parts)).digest()


class _Mask:
    """The permissions for the parts of a mask, by one verb."""

    def __init__(self, authorizer: Authorizer, verb: str, group: str) -> None:
        self._authorizer = authorizer
        self._verb = verb
        self._group = group  # of users, groups, serviceaccounts, nodes
        self._allowed: Expiring[bytes, UserInfo] = Expiring(REMEMBERED)

    @property
    def _constrained(self) -> bool:
        return bool(self._group)

    async def check(self, who: UserInfo, user: UserInfo) -> UserInfo:
        """The user behind the mask, with the groups that go with the name. Raises Forbidden."""
        key = _key(who, user) if self._constrained else b""
        found = self._allowed.get(key) if key else None
        if found is not None:
            return found
        groups = await self._name(who, user)
        if who.uid:
            await self._ask(user, "uids", who.uid, group=GROUP_NAME)
        await self._groups(who.groups, user)
        await self._extra(who, user)
        implied = names.UNAUTHENTICATED if who.name == names.ANONYMOUS else names.AUTHENTICATED
        if not {implied, names.UNAUTHENTICATED} & set(groups):
            groups = (*groups, implied)
        found = replace(who, groups=groups)
        if key:
            self._allowed.put(key, found, SECONDS)
        return found

    async def _name(self, who: UserInfo, user: UserInfo) -> tuple[str, ...]:
        """Ask for the name; the groups that the user will have."""
        account, node = names.split(who.name), names.node(who.name)
        if account is not None:
            await self._ask(user, "serviceaccounts", account[1], namespace=account[0])
            return who.groups or names.groups(account[0])
        if node and self._constrained:
            await self._ask(user, "nodes", node)
            return (names.NODES,)
        await self._ask(user, "users", who.name)
        return who.groups

    async def _groups(self, groups: Sequence[str], user: UserInfo) -> None:
        if self._constrained:
            if "" in groups:
                raise forbidden(user, self._info("groups", ""), "impersonating the empty string group is not allowed")
            if names.MASTERS in groups:
                reason = "impersonating the system:masters group is not allowed"
                raise forbidden(user, self._info("groups", names.MASTERS), reason)
            if len(groups) >= MANY and await self._may(user, "groups", "*"):
                return
        for group in groups:
            await self._ask(user, "groups", group)

    async def _extra(self, who: UserInfo, user: UserInfo) -> None:
        if self._constrained and who.extra:
            problem = _extra_problem(who)
            if problem:
                raise forbidden(user, self._info("userextras", "", group=GROUP_NAME), problem)
            many = len(who.extra) >= MANY or sum(map(len, who.extra.values())) >= MANY
            if many and await self._may(user, "userextras", "*", group=GROUP_NAME, subresource="*"):
                return
        for key, each in who.extra.items():
            for value in each:
                await self._ask(user, "userextras", value, group=GROUP_NAME, subresource=key)

    async def _may(
        self, user: UserInfo, resource: str, name: str, *, group: str | None = None, subresource: str = ""
    ) -> bool:
        try:
            await self._ask(user, resource, name, group=group, subresource=subresource)
        except Forbidden:
            return False
        return True

    async def _ask(
        self,
        user: UserInfo,
        resource: str,
        name: str,
        *,
        namespace: str = "",
        group: str | None = None,
        subresource: str = "",
    ) -> None:
        info = self._info(resource, name, namespace=namespace, group=group, subresource=subresource)
        await authorize(self._authorizer, user, info)

    def _info(
        self, resource: str, name: str, *, namespace: str = "", group: str | None = None, subresource: str = ""
    ) -> RequestInfo:
        return RequestInfo(
            verb=self._verb, path="", is_resource=True, group=self._group if group is None else group, version="v1",
            resource=resource, subresource=subresource, namespace=namespace, name=name,
        )  # fmt: skip


async def authorize(authorizer: Authorizer, user: UserInfo, info: RequestInfo) -> None:
    """Ask an authorizer. Raises Forbidden."""
    decision = await authorizer.authorize(user, info)
    if not decision.allowed:
        raise forbidden(user, info, ": ".join(text for text in (decision.error, decision.reason) if text))


def _extra_problem(who: UserInfo) -> str:
    for key, each in who.extra.items():
        if not key:
            return "impersonating the empty string key in extra is not allowed"
        wrong = domain_prefixed("extra.key", key)
        if wrong:
            return f"impersonating an invalid key in extra is not allowed: {aggregate(wrong)}"
        if key != key.lower():
            return f"impersonating a non-lowercase key in extra is not allowed: {quote(key)}"
        if not each:
            return "impersonating empty values in extra is not allowed"
        if "" in each:
            return "impersonating the empty string value in extra is not allowed"
    return ""


class _Way:
    """One way to be allowed: the old one, by the mask alone."""

    constraint = ""

    def __init__(self, mask: _Mask) -> None:
        self._mask = mask

    async def check(self, who: UserInfo, user: UserInfo, info: RequestInfo) -> UserInfo | None:
        """The user behind the mask; None if this way is not for such a mask. Raises Forbidden."""
        return await self._mask.check(who, user)


class _Constrained(_Way):
    """The mask, and what is done in it, must both be allowed."""

    def __init__(self, authorizer: Authorizer, mode: str, fits: Fits) -> None:
        self.constraint = f"impersonate:{mode}"
        super().__init__(_Mask(authorizer, self.constraint, GROUP_NAME))
        self._authorizer = authorizer
        self._mode = mode
        self._fits = fits
        self._allowed: Expiring[bytes, UserInfo] = Expiring(REMEMBERED)

    async def check(self, who: UserInfo, user: UserInfo, info: RequestInfo) -> UserInfo | None:
        """See _Way."""
        if not self._fits(who, user):
            return None
        key = _key(who, user, info)
        found = self._allowed.get(key)
        if found is None:
            await authorize(self._authorizer, user, replace(info, verb=f"impersonate-on:{self._mode}:{info.verb}"))
            found = await self._mask.check(who, user)
            self._allowed.put(key, found, SECONDS)
        return found


class _Associated(_Constrained):
    """A service account acts as the node that its pod is on; which node that is does not matter to the permission."""

    def __init__(self, authorizer: Authorizer) -> None:
        super().__init__(_AnyNode(authorizer), "associated-node", lambda who, user: True)

    async def check(self, who: UserInfo, user: UserInfo, info: RequestInfo) -> UserInfo | None:
        """See _Way."""
        if not _on_node(who, user):
            return None
        account = replace(user, extra={_NODE_KEYS: tuple(sorted(user.extra))})
        return await super().check(who, account, info)


class _AnyNode:
    """Asks an authorizer about all nodes where it is asked about one."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """See Authorizer."""
        if info.verb == "impersonate:associated-node":
            info = replace(info, name="*")
        return await self._authorizer.authorize(user, info)


def _on_node(who: UserInfo, user: UserInfo) -> bool:
    node = names.node(who.name)
    return bool(node) and _bare(who) and _account(user) and user.extra.get(names.NODE_NAME) == (node,)
