"""Group versions and who serves them: this API server, or a Service to which it passes their requests on.

Rules and texts: k8s.io/kube-aggregator `pkg/apis/apiregistration/validation`, `pkg/registry/apiservice`.
"""

from collections.abc import Sequence
from typing import Annotated

from msgspec import field

from kijabi.api import validation
from kijabi.api.columns import AGE, NAME, column
from kijabi.api.formats import dns1035_label, dns_subdomain, port_number
from kijabi.api.gotext import quote
from kijabi.api.meta import Object, Time, time_now
from kijabi.api.resource import FieldError, Resource, Subresource
from kijabi.api.struct import Int32, Struct, Tag


class ServiceReference(Struct):
    """The service in the cluster that serves the group version."""

    namespace: Annotated[str, Tag(1)] = ""
    name: Annotated[str, Tag(2)] = ""
    port: Annotated[Int32 | None, Tag(3, default=443)] = None


class APIServiceSpec(Struct):
    """The group version, its service, how to trust it, and its rank in discovery."""

    service: Annotated[ServiceReference | None, Tag(1)] = None
    group: Annotated[str, Tag(2)] = ""
    version: Annotated[str, Tag(3)] = ""
    insecureSkipTLSVerify: Annotated[bool, Tag(4)] = False
    caBundle: Annotated[bytes, Tag(5, listType="atomic")] = b""
    groupPriorityMinimum: Annotated[Int32, Tag(7, required=True)] = field(default_factory=int)
    versionPriority: Annotated[Int32, Tag(8, required=True)] = field(default_factory=int)


class APIServiceCondition(Struct):
    """Available, or why not."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    status: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    lastTransitionTime: Annotated[Time, Tag(3)] = Time()
    reason: Annotated[str, Tag(4)] = ""
    message: Annotated[str, Tag(5)] = ""


class APIServiceStatus(Struct):
    """The conditions."""

    conditions: Annotated[
        tuple[APIServiceCondition, ...],
        Tag(1, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()


class APIService(Object):
    """One group version of the API and who serves it; local ones have no service."""

    spec: Annotated[APIServiceSpec, Tag(2)] = field(default_factory=APIServiceSpec)
    status: Annotated[APIServiceStatus, Tag(3)] = field(default_factory=APIServiceStatus)


AVAILABLE = "Available"
_STATES = ("True", "False", "Unknown")
_MOST_GROUP, _MOST_VERSION = 20000, 1000


def condition(obj: APIService, kind: str = AVAILABLE) -> APIServiceCondition | None:
    """The condition of a type, if there is one."""
    return next((each for each in obj.status.conditions if each.type == kind), None)


def is_available(obj: APIService) -> bool:
    """Whether its requests can be answered."""
    found = condition(obj)
    return found is not None and found.status == "True"


def set_available(obj: APIService, status: str, reason: str, message: str) -> None:
    """Say whether it is available, and since when if that has changed."""
    old = condition(obj)
    since = old.lastTransitionTime if old is not None and old.status == status else time_now()
    new = APIServiceCondition(AVAILABLE, status, lastTransitionTime=since, reason=reason, message=message)
    kept = obj.status.conditions
    if old is None:
        obj.status.conditions = (*kept, new)
    else:
        obj.status.conditions = tuple(new if each.type == AVAILABLE else each for each in kept)


def set_local(obj: APIService) -> None:
    """Say that it is served here."""
    set_available(obj, "True", "Local", "Local APIServices are always available")


def _prepare(new: APIService, old: APIService | None) -> None:
    if old is None and new.spec.service is None:
        set_local(new)


def _prepare_status(new: APIService, old: APIService) -> None:
    new.spec = old.spec
    own, before = new.metadata, old.metadata
    own.labels, own.annotations = before.labels, before.annotations
    own.finalizers, own.ownerReferences = before.finalizers, before.ownerReferences
    own.deletionTimestamp = before.deletionTimestamp


def validate(obj: APIService) -> list[FieldError]:
    """The name is that of the version, the ranks are within bounds, and there is a way to trust a Service."""
    spec = obj.spec
    errors: list[FieldError] = []
    wanted = f"{spec.version}.{spec.group}"
    if obj.metadata.name and obj.metadata.name != wanted:
        text = f'must be `spec.version+"."+spec.group`: {quote(wanted)}'
        errors.append(validation.invalid("metadata.name", obj.metadata.name, text))
    if not spec.group and spec.version != "v1":
        text = "only v1 may have an empty group and it better be legacy kube"
        errors.append(validation.required("spec.group", text))
    if spec.group:
        errors += validation.each("spec.group", spec.group, dns_subdomain(spec.group))
    errors += validation.each("spec.version", spec.version, dns1035_label(spec.version))
    for name, value, most in (
        ("groupPriorityMinimum", spec.groupPriorityMinimum, _MOST_GROUP),
        ("versionPriority", spec.versionPriority, _MOST_VERSION),
    ):
        if not 0 < value <= most:
            errors.append(validation.invalid(f"spec.{name}", value, f"must be positive and less than {most}"))
    return errors + (_validate_local(spec) if spec.service is None else _validate_service(spec, spec.service))


def _validate_local(spec: APIServiceSpec) -> list[FieldError]:
    errors = []
    if spec.caBundle:
        text = "local APIServices may not have a caBundle"
        errors.append(validation.invalid("spec.caBundle", f"{len(spec.caBundle)} bytes", text))
    if spec.insecureSkipTLSVerify:
        text = "local APIServices may not have insecureSkipTLSVerify"
        errors.append(validation.invalid("spec.insecureSkipTLSVerify", True, text))
    return errors


def _validate_service(spec: APIServiceSpec, service: ServiceReference) -> list[FieldError]:
    errors = [
        validation.required(f"spec.service.{name}")
        for name, value in (("namespace", service.namespace), ("name", service.name))
        if not value
    ]
    problems = port_number(service.port or 0)
    if problems:
        text = f"port is not valid: {', '.join(problems)}"
        errors.append(validation.invalid("spec.service.port", service.port or 0, text))
    if spec.insecureSkipTLSVerify and spec.caBundle:
        text = "may not be true if caBundle is present"
        errors.append(validation.invalid("spec.insecureSkipTLSVerify", True, text))
    return errors


def validate_status(new: APIService, old: APIService) -> Sequence[FieldError]:
    """Conditions are true, false or unknown."""
    return [
        error
        for index, each in enumerate(new.status.conditions)
        for error in validation.one_of(f"status.conditions[{index}].status", each.status, _STATES)
    ]


def _service(obj: APIService) -> str:
    service = obj.spec.service
    return f"{service.namespace}/{service.name}" if service is not None else "Local"


def _available(obj: APIService) -> str:
    found = condition(obj)
    if found is None:
        return "Unknown"
    return f"{found.status} ({found.reason})" if found.reason and found.status != "True" else found.status


COLUMNS = (
    NAME,
    column("Service", _service, "The Service that serves this version, or Local."),
    column("Available", _available, "Whether requests can be answered."),
    AGE,
)


RESOURCE = Resource(
    group="apiregistration.k8s.io",
    version="v1",
    kind="APIService",
    plural="apiservices",
    type=APIService,
    namespaced=False,
    singular="apiservice",
    categories=("api-extensions",),
    name_rule="path",
    update_needs_version=True,
    prepare=_prepare,
    prepare_status=_prepare_status,
    validate=validate,
    validate_status=validate_status,
    columns=COLUMNS,
    subresources=(Subresource(name="status", kind="APIService", verbs=("get", "patch", "update"), type=APIService),),
)
