"""Which credentials fit an image: image pull secrets against the image's registry and path.

Pure, called by `images.py` with the secrets that the pod names; formats and matching are those of
"Pull an Image from a Private Registry" (dockerconfigjson and the older dockercfg).
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from kijabi.api.core.secret import Secret
from kijabi.kubelet.runtime.interface import ImageAuth

DEFAULT_REGISTRY = "docker.io"
_ALIASES = {"index.docker.io", "registry-1.docker.io", "docker.io"}


# The grammar of image names (github.com/distribution/reference): a domain, and what follows it.
_DOMAIN = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|"
                     r"\[[0-9A-Fa-f:]+\])(?::\d+)?")  # fmt: skip
_WORD = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9A-Fa-f]{32,}"
_REMAINDER = re.compile(rf"{_WORD}(?:/{_WORD})*(?::\w[\w.-]{{0,127}})?(?:@{_DIGEST})?", re.ASCII)


def split_image(image: str) -> tuple[str, str]:
    """The registry and the repository path of an image name, without tag and digest."""
    name = image.partition("@")[0]
    head, slash, rest = name.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        registry, path = head, rest
    else:
        registry, path = DEFAULT_REGISTRY, name if slash else f"library/{name}"
    return registry, path.partition(":")[0]


def with_default_tag(image: str) -> str:
    """The name with `:latest` where it has neither tag nor digest. Raises ValueError for what is no image name."""
    head, slash, rest = image.partition("/")
    named = slash and ("." in head or ":" in head or head == "localhost" or head != head.lower())
    remainder = rest if named else image if slash else f"library/{image}"
    path = remainder.partition("@")[0].partition(":")[0]
    if path != path.lower():
        raise ValueError(f"invalid reference format: repository name ({path}) must be lowercase")
    if not _REMAINDER.fullmatch(remainder) or (named and not _DOMAIN.fullmatch(head)):
        raise ValueError("invalid reference format")
    if "@" in image or ":" in image.rpartition("/")[2]:
        return image
    return f"{image}:latest"


def matching(image: str, secrets: Iterable[Secret]) -> tuple[ImageAuth, ...]:
    """The credentials that fit, the most specific path first."""
    registry, path = split_image(image)
    found: list[tuple[int, ImageAuth]] = []
    for secret in secrets:
        for place, entry in _entries(secret):
            host, _, prefix = place.removeprefix("https://").removeprefix("http://").partition("/")
            prefix = "" if prefix in ("v1/", "v2/", "v1", "v2") else prefix.rstrip("/")
            if _same_host(host, registry) and (not prefix or path == prefix or path.startswith(prefix + "/")):
                found.append((len(prefix), _auth(entry, host)))
    return tuple(auth for _, auth in sorted(found, key=lambda pair: -pair[0]))


def _same_host(pattern: str, registry: str) -> bool:
    if pattern in _ALIASES and registry in _ALIASES:
        return True
    return fnmatch.fnmatchcase(registry, pattern)


def _entries(secret: Secret) -> Iterable[tuple[str, dict[str, Any]]]:
    data = secret.data or {}
    try:
        if secret.type == "kubernetes.io/dockerconfigjson":
            auths = msgspec.json.decode(data.get(".dockerconfigjson", b"{}")).get("auths") or {}
        elif secret.type == "kubernetes.io/dockercfg":
            auths = msgspec.json.decode(data.get(".dockercfg", b"{}"))
        else:
            return ()
    except (msgspec.DecodeError, AttributeError):
        return ()
    return [(place, entry) for place, entry in auths.items() if isinstance(entry, dict)]


def _auth(entry: dict[str, Any], host: str) -> ImageAuth:
    username, password = str(entry.get("username", "")), str(entry.get("password", ""))
    if not username and entry.get("auth"):
        try:
            decoded = base64.b64decode(str(entry["auth"])).decode()
        except (binascii.Error, UnicodeDecodeError):
            decoded = ""
        username, _, password = decoded.partition(":")
    return ImageAuth(
        username=username,
        password=password,
        identity_token=str(entry.get("identitytoken", "")),
        registry_token=str(entry.get("registrytoken", "")),
        server_address=host,
    )
