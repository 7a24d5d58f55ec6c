"""Where the server is and who we are: reading and writing kubeconfig files.

`cmd` writes one for the administrator and one for each component; every process reads its own and makes a
transport of it. The format is `k8s.io/client-go/tools/clientcmd/api/v1`.
"""

from __future__ import annotations

import base64
import binascii
import logging
import ssl
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import yaml

from kijabi.base.errors import ConfigError
from kijabi.base.files import write_atomic
from kijabi.client.http import HttpTransport, tls

log = logging.getLogger(__name__)


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A server and who to be there, all as text: PEM, not files.

    ca: authority of the server's certificate. cert and key: a client certificate. token: a bearer token
    instead.
    """

    server: str
    ca: str = ""
    cert: str = ""
    key: str = ""
    token: str = ""
    namespace: str = ""
    insecure: bool = False


def load(path: Path, context: str = "") -> Identity:
    """The identity of a context, the current one by default. Raises ConfigError that says what is wrong."""
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read the kubeconfig {path}: {error}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path} is no kubeconfig: it holds no mapping")
    chosen = _named(found, "contexts", "context", context or found.get("current-context") or "", path)
    cluster = _named(found, "clusters", "cluster", chosen.get("cluster") or "", path)
    user = _named(found, "users", "user", chosen.get("user") or "", path)
    if not cluster.get("server"):
        raise ConfigError(f"{path} names no server")
    return Identity(
        server=str(cluster["server"]),
        ca=_text(cluster, "certificate-authority", path),
        cert=_text(user, "client-certificate", path),
        key=_text(user, "client-key", path),
        token=str(user.get("token") or "") or _file(user, "tokenFile", path),
        namespace=str(chosen.get("namespace") or ""),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
    )


def _named(found: dict[str, Any], plural: str, singular: str, name: str, path: Path) -> dict[str, Any]:
    items = found.get(plural)
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and item.get("name") == name and isinstance(item.get(singular), dict):
            return dict(item[singular])
    raise ConfigError(f"{path} has no {singular} called {name!r}")


def _text(holder: dict[str, Any], name: str, path: Path) -> str:
    """What `name-data` holds in base64, or the file that `name` names, relative to the kubeconfig."""
    data = holder.get(f"{name}-data")
    if not data:
        return _file(holder, name, path)
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: {name}-data is not base64 of text: {error}") from error


def _file(holder: dict[str, Any], name: str, path: Path) -> str:
    if not holder.get(name):
        return ""
    try:
        return (path.parent / str(holder[name])).read_text().strip()
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{path}: cannot read its {name}: {error}") from error


def dump(identity: Identity, *, user: str, cluster: str = "kijabi") -> str:
    """The kubeconfig of an identity, as YAML with everything inside."""
    place: dict[str, Any] = {"server": identity.server}
    if identity.ca:
        place["certificate-authority-data"] = _base64(identity.ca)
    if identity.insecure:
        place["insecure-skip-tls-verify"] = True
    who: dict[str, Any] = {}
    if identity.cert:
        who = {
            "client-certificate-data": _base64(identity.cert),
            "client-key-data": _base64(identity.key),
        }
    if identity.token:
        who["token"] = identity.token
    name = f"{user}@{cluster}"
    chosen = {"cluster": cluster, "user": user}
    if identity.namespace:
        chosen["namespace"] = identity.namespace
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": cluster, "cluster": place}],
            "users": [{"name": user, "user": who}],
            "contexts": [{"name": name, "context": chosen}],
            "current-context": name,
        },
        sort_keys=False,
    )


def save(path: Path, identity: Identity, *, user: str, cluster: str = "kijabi") -> None:
    """Write a kubeconfig, readable by nobody else from the first byte on, and whole or not at all."""
    write_atomic(path, dump(identity, user=user, cluster=cluster).encode(), 0o600)


def transport(identity: Identity) -> HttpTransport:
    """The door that an identity opens."""
    if not identity.cert:
        return HttpTransport(identity.server, ca=identity.ca, token=identity.token, insecure=identity.insecure)
    context = tls_of(identity)
    return HttpTransport(identity.server, token=identity.token, context=lambda: context)


def followed(path: Path) -> HttpTransport:
    """The door that a kubeconfig opens, also after the certificates that it names were renewed.

    Every new connection looks at the files again; while they cannot be read the last ones that could are used.
    """
    identity = load(path)
    context = tls_of(identity)

    def fresh() -> ssl.SSLContext:
        nonlocal identity, context
        try:
            now = load(path)
            if now != identity:
                identity, context = now, tls_of(now)
        except ConfigError as error:
            log.warning("kubeconfig not read again", extra={"path": str(path), "error": str(error)})
        return context

    return HttpTransport(identity.server, token=identity.token, context=fresh)


def tls_of(identity: Identity) -> ssl.SSLContext:
    """TLS with an identity's certificate, if it has one."""
    # OpenSSL reads a client's certificate from files only: they are there for the moment of reading.
    with tempfile.TemporaryDirectory(prefix="kijabi-") as place:
        cert, key = Path(place, "cert"), Path(place, "key")
        for file, text in ((cert, identity.cert), (key, identity.key)):
            file.touch(mode=0o600)
            file.write_text(text)
        return tls(identity.ca, cert if identity.cert else "", key, insecure=identity.insecure)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
