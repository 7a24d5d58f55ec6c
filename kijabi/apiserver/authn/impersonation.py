"""Impersonation: one user acts as another, if he may (`kubectl --as`; documentation "User impersonation").

`chain.py` calls it after it knows who asks. Each part of the mask (user, groups, uid, extra values) is a
resource on which the asker needs the verb `impersonate` (k8s.io/apiserver
`pkg/endpoints/filters/impersonation`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote

from kijabi.apiserver.attributes import Authorizer, RequestInfo, UserInfo
from kijabi.apiserver.authn import serviceaccounts
from kijabi.apiserver.denial import forbidden
from kijabi.base.errors import BadRequest
from kijabi.client.transport import Request

USER, GROUP, UID = "impersonate-user", "impersonate-group", "impersonate-uid"
EXTRA = "impersonate-extra-"
GROUP_NAME = "authentication.k8s.io"
AUTHENTICATED, UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"
ANONYMOUS = "system:anonymous"


class _Part(NamedTuple):
    """One thing to be impersonated, as a resource."""

    resource: str
    name: str
    namespace: str = ""
    group: str = ""
    subresource: str = ""


def wanted(request: Request) -> bool:
    """Does a request ask for another identity?"""
    return any(name.startswith("impersonate-") for name in request.headers)


def values(request: Request, name: str) -> list[str]:
    """All values of a header that may be repeated; the HTTP side joins repetitions with a line feed, which no
    header value can hold."""
    text = request.headers.get(name, "")
    return text.split("\n") if text else []


def _parts(request: Request) -> Iterator[_Part]:
    user = request.headers.get(USER, "")
    if user:
        account = serviceaccounts.split_user_name(user)
        if account is not None:
            yield _Part("serviceaccounts", account[1], account[0])
        else:
            yield _Part("users", user)
    for group in values(request, GROUP):
        yield _Part("groups", group)
    for header in request.headers:
        if header.startswith(EXTRA):
            key = unquote(header.removeprefix(EXTRA)).lower()
            for value in values(request, header):
                yield _Part("userextras", value, group=GROUP_NAME, subresource=key)
    uid = request.headers.get(UID, "")
    if uid:
        yield _Part("uids", uid, group=GROUP_NAME)


async def impersonate(request: Request, user: UserInfo, authorizer: Authorizer) -> UserInfo:
    """The user whom `user` acts as; the headers that asked for it are taken off the request.

    Raises BadRequest without a user to act as, Forbidden when `user` may not.
    """
    parts = list(_parts(request))
    if not parts:
        return user
    if not request.headers.get(USER):
        names = " ".join(f"{{{part.resource} {part.name}}}" for part in parts)
        raise BadRequest(f"requested [{names}] without impersonating a user")
    for part in parts:
        info = RequestInfo(
            verb="impersonate",
            path=request.path,
            is_resource=True,
            group=part.group,
            version="v1" if part.group else "",
            resource=part.resource,
            subresource=part.subresource,
            namespace=part.namespace,
            name=part.name,
        )
        decision = await authorizer.authorize(user, info)
        if not decision.allowed:
            raise forbidden(user, info, decision.reason)
    for header in [name for name in request.headers if name.startswith("impersonate-")]:
        del request.headers[header]
    return _masked(parts)


def _masked(parts: list[_Part]) -> UserInfo:
    name, uid = "", ""
    groups: list[str] = []
    account: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = {}
    for part in parts:
        match part.resource:
            case "serviceaccounts":
                name = serviceaccounts.user_name(part.namespace, part.name)
                account = serviceaccounts.groups(part.namespace)
            case "users":
                name = part.name
            case "groups":
                groups.append(part.name)
            case "uids":
                uid = part.name
            case _:
                extra[part.subresource] = (*extra.get(part.subresource, ()), part.name)
    groups = groups or list(account)
    implied = UNAUTHENTICATED if name == ANONYMOUS else AUTHENTICATED
    if not {implied, UNAUTHENTICATED} & set(groups):
        groups.append(implied)
    return UserInfo(name=name, uid=uid, groups=tuple(groups), extra=extra)
