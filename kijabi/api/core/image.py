"""References to container images, as far as the API looks into them.

The defaults of containers and image volumes ask for the pull policy; the kubelet reads whole references itself.
"""

from __future__ import annotations

from re import compile as regex

# `host:port/path/name:tag@digest`; the grammar of github.com/distribution/reference.
_HOST = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*"
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REFERENCE = regex(
    rf"(?P<name>(?:(?:{_HOST}|\[[0-9a-fA-F:]+\])(?::[0-9]+)?/)?{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?"
)
_IDENTIFIER = regex("[a-f0-9]{64}")  # that of an image, never its name
_LONGEST, _LONGEST_NAME = 1024, 255


def pull_policy(image: str) -> str:
    """`Always` for an image by the tag latest, said or meant, `IfNotPresent` for all others."""
    match = _REFERENCE.fullmatch(image) if len(image) <= _LONGEST else None
    if match is None or len(match["name"]) > _LONGEST_NAME or _IDENTIFIER.fullmatch(image):
        return "IfNotPresent"
    tag = match["tag"] or ("" if match["digest"] else "latest")
    return "Always" if tag == "latest" else "IfNotPresent"
