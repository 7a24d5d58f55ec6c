"""Users whom a front proxy vouches for: it shows its certificate, and says in headers whose request it passes on.

`chain.py` asks first of all. Only a certificate that the front-proxy authority signed, for one of the names that it
gives out, makes the headers count; from anybody else they are noise. `CONFIGURATION` is what aggregated API servers
read to do the same (k8s.io/apiserver `pkg/authentication/request/headerrequest`).
"""

from __future__ import annotations

import logging
from pathlib import Path
from urllib.parse import unquote

import msgspec

from kijabi.apiserver.attributes import Peer, UserInfo
from kijabi.apiserver.authn.certificates import CertificateAuthenticator
from kijabi.apiserver.pki import FRONT_PROXY
from kijabi.base.errors import Unauthorized
from kijabi.client.transport import Request

log = logging.getLogger(__name__)

USER, UID, GROUP, EXTRA = "X-Remote-User", "X-Remote-Uid", "X-Remote-Group", "X-Remote-Extra-"
_PREFIX = "x-remote-"


class FrontProxyAuthenticator:
    """Believes the headers of those who hold a certificate of the front proxy."""

    def __init__(self, certificates: CertificateAuthenticator, names: tuple[str, ...] = (FRONT_PROXY.user,)) -> None:
        self._certificates = certificates
        self._names = names

    async def authenticate(self, request: Request, peer: Peer) -> UserInfo | None:
        """The user that the headers name, which are taken off the request; None where they do not count."""
        headers = request.headers
        if not headers.get(USER.lower()) or peer.cert_der is None:
            return None
        try:
            proxy = await self._certificates.authenticate(request, peer)
        except Unauthorized as error:
            log.debug("not a front proxy", extra={"reason": error.message, "peer": peer.address})
            return None
        if proxy is None or proxy.name not in self._names:
            return None
        user = _user(headers)
        for name in [name for name in headers if name.startswith(_PREFIX)]:
            del headers[name]
        return user


def _user(headers: dict[str, str]) -> UserInfo:
    extra = {
        unquote(name.removeprefix(EXTRA.lower())).lower(): _values(value)
        for name, value in headers.items()
        if name.startswith(EXTRA.lower())
    }
    return UserInfo(
        name=_values(headers[USER.lower()])[0],
        uid=headers.get(UID.lower(), ""),
        groups=_values(headers.get(GROUP.lower(), "")),
        extra=extra,
    )


def _values(text: str) -> tuple[str, ...]:
    """All values of a header that may be repeated; the HTTP side joins repetitions with a line feed."""
    return tuple(each for each in text.split("\n") if each)


def configuration(client_ca: Path, front_proxy_ca: Path) -> dict[str, str]:
    """The data of the ConfigMap `extension-apiserver-authentication`: whom aggregated API servers may believe."""
    listed = {
        "requestheader-username-headers": [USER],
        "requestheader-uid-headers": [UID],
        "requestheader-group-headers": [GROUP],
        "requestheader-extra-headers-prefix": [EXTRA],
        "requestheader-allowed-names": [FRONT_PROXY.user],
    }
    return {
        "client-ca-file": client_ca.read_text(),
        "requestheader-client-ca-file": front_proxy_ca.read_text(),
        **{name: msgspec.json.encode(values).decode() for name, values in listed.items()},
    }
