"""Requests for certificates; approved by people or controllers, signed by the named signer."""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import field

from kijabi.api.certificates import rules
from kijabi.api.columns import AGE, NAME, NONE, column, human_duration
from kijabi.api.meta import Object, Time, time_now
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Int32, Struct, Tag


class CertificateSigningRequestSpec(Struct):
    """The PKCS#10 request, the signer, the usages, and who asked."""

    request: Annotated[bytes, Tag(1, required=True)] = field(default_factory=bytes)
    signerName: Annotated[str, Tag(7, required=True)] = field(default_factory=str)
    expirationSeconds: Annotated[Int32 | None, Tag(8)] = None
    usages: Annotated[tuple[str, ...], Tag(5, listType="atomic")] = ()
    username: Annotated[str, Tag(2)] = ""
    uid: Annotated[str, Tag(3)] = ""
    groups: Annotated[tuple[str, ...], Tag(4, listType="atomic")] = ()
    extra: Annotated[dict[str, tuple[str, ...]], Tag(6)] = {}


class CertificateSigningRequestCondition(Struct):
    """Approved, Denied or Failed."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    status: Annotated[str, Tag(6, required=True)] = field(default_factory=str)
    reason: Annotated[str, Tag(2)] = ""
    message: Annotated[str, Tag(3)] = ""
    lastUpdateTime: Annotated[Time, Tag(4)] = Time()
    lastTransitionTime: Annotated[Time, Tag(5)] = Time()


class CertificateSigningRequestStatus(Struct):
    """The conditions, and the certificate once it is signed."""

    conditions: Annotated[
        tuple[CertificateSigningRequestCondition, ...],
        Tag(1, listType="map", keys=("type",)),
    ] = ()
    certificate: Annotated[bytes, Tag(2)] = b""


class CertificateSigningRequest(Object):
    """Asks a signer for an X.509 certificate."""

    spec: Annotated[
        CertificateSigningRequestSpec,
        Tag(2, required=True),
    ] = field(default_factory=CertificateSigningRequestSpec)
    status: Annotated[
        CertificateSigningRequestStatus,
        Tag(3),
    ] = field(default_factory=CertificateSigningRequestStatus)


def prepare(new: CertificateSigningRequest, old: CertificateSigningRequest | None) -> None:
    """What was asked for stays as it is; a changed mind is a new request."""
    if old is not None:
        new.spec = old.spec


def set_requester(
    csr: CertificateSigningRequest, name: str, uid: str, groups: tuple[str, ...], extra: Mapping[str, tuple[str, ...]]
) -> None:
    """Who asks is for the server to say: its signers trust it."""
    csr.spec = msgspec.structs.replace(csr.spec, username=name, uid=uid, groups=groups, extra=dict(extra))


def prepare_approval(new: CertificateSigningRequest, old: CertificateSigningRequest) -> None:
    """For a write of `approval`: the conditions, and no certificate."""
    new.spec = old.spec
    conditions = _timed(new.status.conditions, old.status.conditions)
    new.status = msgspec.structs.replace(old.status, conditions=conditions)


def prepare_status(new: CertificateSigningRequest, old: CertificateSigningRequest) -> None:
    """For a write of `status`: not the spec, and the verdicts stay as they were given."""
    new.spec = old.spec
    conditions = list(new.status.conditions)
    for verdict in ("Approved", "Denied"):
        given = [each for each in old.status.conditions if each.type == verdict]
        places = [i for i, each in enumerate(conditions) if each.type == verdict]
        if len(given) == len(places):
            for place, condition in zip(places, given, strict=True):
                conditions[place] = condition
    new.status = msgspec.structs.replace(new.status, conditions=_timed(tuple(conditions), old.status.conditions))


def _timed(
    conditions: tuple[CertificateSigningRequestCondition, ...], before: tuple[CertificateSigningRequestCondition, ...]
) -> tuple[CertificateSigningRequestCondition, ...]:
    """The conditions with the times that their writer left out; no transition where the status did not change."""
    known = {each.type: each for each in before}
    timed = []
    for each in conditions:
        old = known.get(each.type)
        since = old.lastTransitionTime if old is not None and old.status == each.status else Time()
        timed.append(
            msgspec.structs.replace(
                each,
                lastTransitionTime=each.lastTransitionTime or since or time_now(),
                lastUpdateTime=each.lastUpdateTime or time_now(),
            )
        )
    return tuple(timed)


def _condition(obj: CertificateSigningRequest) -> str:
    found = {each.type for each in obj.status.conditions}
    shown = "Denied" if "Denied" in found else "Approved" if "Approved" in found else "Pending"
    return shown + (",Failed" if "Failed" in found else "") + (",Issued" if obj.status.certificate else "")


def _duration(obj: CertificateSigningRequest) -> str:
    return NONE if obj.spec.expirationSeconds is None else human_duration(obj.spec.expirationSeconds)


COLUMNS = (
    NAME,
    AGE,
    column("SignerName", lambda obj: obj.spec.signerName or NONE, "Who is to sign it."),
    column("Requestor", lambda obj: obj.spec.username, "Who asked."),
    column("RequestedDuration", _duration, "For how long."),
    column("Condition", _condition, "What became of it."),
)


RESOURCE = Resource(
    group="certificates.k8s.io",
    version="v1",
    kind="CertificateSigningRequest",
    plural="certificatesigningrequests",
    type=CertificateSigningRequest,
    namespaced=False,
    singular="certificatesigningrequest",
    short=("csr",),
    subresources=(
        Subresource(
            name="approval",
            kind="CertificateSigningRequest",
            verbs=("get", "patch", "update"),
            type=CertificateSigningRequest,
        ),
        Subresource(
            name="status",
            kind="CertificateSigningRequest",
            verbs=("get", "patch", "update"),
            type=CertificateSigningRequest,
        ),
    ),
    columns=COLUMNS,
    prepare=prepare,
    prepare_status=prepare_status,
    validate=rules.validate_csr,
    validate_update=rules.validate_csr_update,
    validate_status=rules.validate_csr_status,
    update_alone=True,
    fields=(("spec.signerName", lambda csr: csr.spec.signerName),),
)
