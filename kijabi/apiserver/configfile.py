"""Configuration files of the group apiserver.config.k8s.io: read strictly, as upstream reads them.

`authn/config.py` and `authz/config.py` say what their files hold and check what this gives them.
"""

from __future__ import annotations

from typing import TypeVar

from kijabi.api import codec, duration, yamltext
from kijabi.api.gotext import quote
from kijabi.api.struct import Struct
from kijabi.base.errors import BadRequest, ConfigError

GROUP = "apiserver.config.k8s.io"
VERSIONS = ("v1", "v1beta1", "v1alpha1")
MAX_BYTES = 4 << 20

T = TypeVar("T", bound=Struct)


class Configuration(Struct):
    """What every configuration file has."""

    apiVersion: str = ""
    kind: str = ""


def load(cls: type[T], data: bytes) -> T:
    """The configuration in a file's content, YAML or JSON; its kind is the name of the type. Raises ConfigError."""
    if not data:
        raise ConfigError("empty config data")
    if len(data) > MAX_BYTES:
        raise ConfigError(f"the file is longer than {MAX_BYTES} bytes")
    kind = cls.__name__
    try:
        text, problems = yamltext.to_json(data)
        head = codec.decode(Configuration, text)
        for name, value in (("Kind", head.kind), ("apiVersion", head.apiVersion)):
            if not value:
                raise ConfigError(f"Object '{name}' is missing in '{text.decode()}'")
        if head.kind != kind or head.apiVersion not in {f"{GROUP}/{version}" for version in VERSIONS}:
            raise ConfigError(f"no kind {quote(head.kind)} is registered for version {quote(head.apiVersion)}")
        found, unknown = codec.decode_strict(cls, text)
    except (BadRequest, UnicodeError) as error:
        raise ConfigError(str(error)) from error
    if problems or unknown:
        raise ConfigError(f"strict decoding error: {', '.join((*problems, *unknown))}")
    return found


def seconds(text: str) -> float:
    """A duration, 0 where none is given. Raises ConfigError."""
    try:
        return duration.parse(text) if text else 0.0
    except ValueError as problem:
        raise ConfigError(str(problem)) from None
