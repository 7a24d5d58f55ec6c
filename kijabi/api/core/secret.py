"""Configuration that is to be kept quiet; pods read it as environment or files."""

from collections.abc import Sequence
from typing import Annotated

from kijabi.api import codec
from kijabi.api.columns import AGE, NAME, column
from kijabi.api.core.kinds import DATA_LIMIT
from kijabi.api.formats import config_key
from kijabi.api.meta import Object
from kijabi.api.resource import FieldError, Resource
from kijabi.api.struct import Struct, Tag
from kijabi.api.validation import each, forbidden, immutable, invalid, required, too_long
from kijabi.base.errors import BadRequest


class Secret(Object):
    """Named byte strings, at most 1 MiB in all; stringData is a way to write them as text."""

    immutable: Annotated[bool | None, Tag(5)] = None
    data: Annotated[dict[str, bytes], Tag(2)] = {}
    stringData: Annotated[dict[str, str], Tag(4)] = {}
    type: Annotated[str, Tag(3)] = ""

    def set_defaults(self) -> None:
        """Opaque; the plain text of stringData goes into data and is never shown again."""
        self.type = self.type or "Opaque"
        for key, text in self.stringData.items():
            self.data[key] = text.encode()
        self.stringData = {}


COLUMNS = (
    NAME,
    column("Type", lambda obj: obj.type, "What its keys mean to programs."),
    column("Data", lambda obj: len(obj.data), "How many keys it holds."),
    AGE,
)


# What a secret of a known type must hold; either of a pair is enough.
_KEYS = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
_ACCOUNT = "kubernetes.io/service-account.name"


def validate(obj: Secret) -> Sequence[FieldError]:
    """Keys are file names, all values together are bounded, and a known type has what it promises."""
    errors = [error for key in obj.data for error in each(f"data[{key}]", key, config_key(key))]
    if sum(map(len, obj.data.values())) > DATA_LIMIT:
        errors.append(too_long("data", DATA_LIMIT))
    if obj.type == "kubernetes.io/service-account-token" and not obj.metadata.annotations.get(_ACCOUNT):
        errors.append(required(f"metadata.annotations[{_ACCOUNT}]"))
    if obj.type == "kubernetes.io/basic-auth" and "username" not in obj.data and "password" not in obj.data:
        errors += [required("data[username]"), required("data[password]")]
    if obj.type == "kubernetes.io/ssh-auth" and not obj.data.get("ssh-privatekey"):
        errors.append(required("data[ssh-privatekey]"))
    for key in _KEYS.get(obj.type, ()):
        if key not in obj.data:
            errors.append(required(f"data[{key}]"))
        elif key.startswith(".docker"):
            errors += _validate_json(f"data[{key}]", obj.data[key])
    return errors


def _validate_json(path: str, data: bytes) -> list[FieldError]:
    try:
        codec.decode(_Registries, data)
    except BadRequest as error:
        return [invalid(path, "<secret contents redacted>", error.message.rpartition("json parse error: ")[2])]
    return []


class _Registries(Struct):
    """A JSON object; what is in it is the container runtime's business."""


def validate_update(new: Secret, old: Secret) -> Sequence[FieldError]:
    """The type stays, and what is immutable."""
    errors = immutable("type", new.type, old.type)
    if old.immutable:
        detail = "field is immutable when `immutable` is set"
        if not new.immutable:
            errors.append(forbidden("immutable", detail))
        if new.data != old.data:
            errors.append(forbidden("data", detail))
    return errors


def warnings(obj: Secret) -> Sequence[str]:
    """What a client should be told of a secret that is accepted: a certificate that is none."""
    if obj.type != "kubernetes.io/tls":
        return ()
    for what, key in (("certificate", "tls.crt"), ("key", "tls.key")):
        if b"-----BEGIN " not in obj.data.get(key, b""):
            return [f"tls: failed to find any PEM data in {what} input"]
    return ()


RESOURCE = Resource(
    group="",
    version="v1",
    kind="Secret",
    plural="secrets",
    type=Secret,
    singular="secret",
    columns=COLUMNS,
    fields=(("type", lambda secret: secret.type),),
    validate=validate,
    validate_update=validate_update,
    warnings=warnings,
)
