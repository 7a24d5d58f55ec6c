"""Which requests go to which priority level; read by the API server's flow control."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Annotated

from msgspec import convert, field

from kijabi.api.columns import AGE, NAME, NONE, column
from kijabi.api.flowcontrol import standard
from kijabi.api.formats import dns_label, dns_subdomain
from kijabi.api.meta import Object, Time
from kijabi.api.resource import FieldError, Resource, Subresource
from kijabi.api.struct import Int32, Struct, Tag, empty_list
from kijabi.api.validation import duplicate, each, forbidden, invalid, not_supported, required

MAX_PRECEDENCE = 10_000
_DISTINGUISHERS = ("ByNamespace", "ByUser")
_SUBJECTS = {"Group": "group", "ServiceAccount": "serviceAccount", "User": "user"}  # kind: its member
_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch")


class PriorityLevelConfigurationReference(Struct):
    """A priority level by name."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)


class FlowDistinguisherMethod(Struct):
    """What tells flows apart: the user or the namespace."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)


class UserSubject(Struct):
    """A user by name."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)


class GroupSubject(Struct):
    """A group by name."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)


class ServiceAccountSubject(Struct):
    """A service account by namespace and name."""

    namespace: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    name: Annotated[str, Tag(2, required=True)] = field(default_factory=str)


class Subject(Struct):
    """Whose requests; kind says which member is set."""

    kind: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    user: Annotated[UserSubject | None, Tag(2)] = None
    group: Annotated[GroupSubject | None, Tag(3)] = None
    serviceAccount: Annotated[ServiceAccountSubject | None, Tag(4)] = None


class ResourcePolicyRule(Struct):
    """Requests on resources."""

    verbs: Annotated[
        tuple[str, ...],
        Tag(1, listType="set", required=True),
    ] = field(default_factory=empty_list)
    apiGroups: Annotated[
        tuple[str, ...],
        Tag(2, listType="set", required=True),
    ] = field(default_factory=empty_list)
    resources: Annotated[
        tuple[str, ...],
        Tag(3, listType="set", required=True),
    ] = field(default_factory=empty_list)
    clusterScope: Annotated[bool, Tag(4)] = False
    namespaces: Annotated[tuple[str, ...], Tag(5, listType="set")] = field(default_factory=empty_list)


class NonResourcePolicyRule(Struct):
    """Requests on plain URLs."""

    verbs: Annotated[
        tuple[str, ...],
        Tag(1, listType="set", required=True),
    ] = field(default_factory=empty_list)
    nonResourceURLs: Annotated[
        tuple[str, ...],
        Tag(6, listType="set", required=True),
    ] = field(default_factory=empty_list)


class PolicyRulesWithSubjects(Struct):
    """Whose requests, to what."""

    subjects: Annotated[
        tuple[Subject, ...],
        Tag(1, listType="atomic", required=True),
    ] = field(default_factory=empty_list)
    resourceRules: Annotated[tuple[ResourcePolicyRule, ...], Tag(2, listType="atomic")] = ()
    nonResourceRules: Annotated[tuple[NonResourcePolicyRule, ...], Tag(3, listType="atomic")] = ()


class FlowSchemaSpec(Struct):
    """The rules, the priority level, and the rank among schemas."""

    priorityLevelConfiguration: Annotated[
        PriorityLevelConfigurationReference,
        Tag(1, required=True),
    ] = field(default_factory=PriorityLevelConfigurationReference)
    matchingPrecedence: Annotated[Int32, Tag(2)] = field(default_factory=int)
    distinguisherMethod: Annotated[FlowDistinguisherMethod | None, Tag(3)] = None
    rules: Annotated[tuple[PolicyRulesWithSubjects, ...], Tag(4, listType="atomic")] = ()

    def set_defaults(self) -> None:
        """In the middle of the others."""
        self.matchingPrecedence = self.matchingPrecedence or 1000


class FlowSchemaCondition(Struct):
    """Dangling, when the priority level does not exist."""

    type: Annotated[str, Tag(1, required=True)] = ""
    status: Annotated[str, Tag(2)] = ""
    lastTransitionTime: Annotated[Time, Tag(3)] = Time()
    reason: Annotated[str, Tag(4)] = ""
    message: Annotated[str, Tag(5)] = ""


class FlowSchemaStatus(Struct):
    """The conditions."""

    conditions: Annotated[
        tuple[FlowSchemaCondition, ...],
        Tag(1, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()


class FlowSchema(Object):
    """Sorts requests into flows and gives them a priority level."""

    spec: Annotated[FlowSchemaSpec, Tag(2, required=True)] = field(default_factory=FlowSchemaSpec)
    status: Annotated[FlowSchemaStatus, Tag(3)] = field(default_factory=FlowSchemaStatus)


def _method(obj: FlowSchema) -> str:
    method = obj.spec.distinguisherMethod
    return NONE if method is None else method.type


def _dangling(obj: FlowSchema) -> str:
    return next((each.status for each in obj.status.conditions if each.type == "Dangling"), "?")


COLUMNS = (
    NAME,
    column("PriorityLevel", lambda obj: obj.spec.priorityLevelConfiguration.name, "Where its requests wait."),
    column("MatchingPrecedence", lambda obj: obj.spec.matchingPrecedence, "Lower is asked first."),
    column("DistinguisherMethod", _method, "What tells its flows apart."),
    AGE,
    column("MissingPL", _dangling, "Whether that priority level is missing."),
)


@cache
def _fixed(name: str) -> FlowSchemaSpec:
    return convert(standard.schemas()[name], FlowSchemaSpec)


def validate(obj: FlowSchema) -> Sequence[FieldError]:
    """k8s.io/kubernetes `pkg/apis/flowcontrol/validation` ValidateFlowSchema."""
    name, spec = obj.metadata.name, obj.spec
    errors = list(_spec(name, spec))
    if name in standard.MANDATORY and spec != _fixed(name):
        errors.append(invalid("spec", spec, f"spec of '{name}' must equal the fixed value"))
    return errors


def validate_status(new: FlowSchema, old: FlowSchema) -> Sequence[FieldError]:
    """ValidateFlowSchemaStatus, same place."""
    return list(conditions(tuple(each.type for each in new.status.conditions)))


def conditions(types: Sequence[str]) -> Iterator[FieldError]:
    """Errors of a status' conditions, of which each type may be there once."""
    for place, own in enumerate(types):
        path = f"status.conditions[{place}].type"
        if own in types[:place]:
            yield duplicate(path, own)
        if not own:
            yield required(path)


def _spec(name: str, spec: FlowSchemaSpec) -> Iterator[FieldError]:
    path, precedence = "spec.matchingPrecedence", spec.matchingPrecedence
    if precedence <= 0:
        yield invalid(path, precedence, "must be a positive value")
    if precedence > MAX_PRECEDENCE:
        yield invalid(path, precedence, f"must not be greater than {MAX_PRECEDENCE}")
    if precedence == 1 and name != "exempt":
        yield invalid(path, precedence, "only the schema named 'exempt' may have matchingPrecedence 1")
    method = spec.distinguisherMethod
    if method is not None and method.type not in _DISTINGUISHERS:
        yield not_supported("spec.distinguisherMethod.type", method, _DISTINGUISHERS)
    path, level = "spec.priorityLevelConfiguration.name", spec.priorityLevelConfiguration.name
    if level:
        yield from each(path, level, dns_subdomain(level))
    else:
        yield required(path, "must reference a priority level")
    for place, rule in enumerate(spec.rules):
        yield from _rule(f"spec.rules[{place}]", rule)


def _rule(path: str, rule: PolicyRulesWithSubjects) -> Iterator[FieldError]:
    if not rule.subjects:
        yield required(f"{path}.subjects", "subjects must contain at least one value")
    for place, subject in enumerate(rule.subjects):
        yield from _subject(f"{path}.subjects[{place}]", subject)
    if not rule.resourceRules and not rule.nonResourceRules:
        yield required(path, "at least one of resourceRules and nonResourceRules has to be non-empty")
    for place, resources in enumerate(rule.resourceRules):
        yield from _resources(f"{path}.resourceRules[{place}]", resources)
    for place, urls in enumerate(rule.nonResourceRules):
        yield from _urls(f"{path}.nonResourceRules[{place}]", urls)


def _subject(path: str, subject: Subject) -> Iterator[FieldError]:
    member = _SUBJECTS.get(subject.kind)
    if member is None:
        yield not_supported(f"{path}.kind", subject.kind, _SUBJECTS)
        return
    own = getattr(subject, member)
    if own is None:
        yield required(f"{path}.{member}", f"{member} is required when subject kind is '{subject.kind}'")
    else:
        yield from _named(f"{path}.{member}", own)
    for kind in ("ServiceAccount", "User", "Group"):
        other = _SUBJECTS[kind]
        if kind != subject.kind and getattr(subject, other) is not None:
            yield forbidden(f"{path}.{other}", f"{other} is forbidden when subject kind is not '{kind}'")


def _named(path: str, own: UserSubject | GroupSubject | ServiceAccountSubject) -> Iterator[FieldError]:
    if not own.name:
        yield required(f"{path}.name")
    if not isinstance(own, ServiceAccountSubject):
        return
    if own.name and own.name != "*":
        yield from each(f"{path}.name", own.name, dns_subdomain(own.name))
    if own.namespace:
        yield from each(f"{path}.namespace", own.namespace, dns_label(own.namespace))
    else:
        yield required(f"{path}.namespace", "must specify namespace for service account")


def _verbs(path: str, verbs: Sequence[str]) -> Iterator[FieldError]:
    if not verbs:
        yield required(path, "verbs must contain at least one value")
    elif "*" in verbs:
        if len(verbs) > 1:
            yield invalid(path, verbs, "if '*' is present, must not specify other verbs")
    elif not set(verbs) <= set(_VERBS):
        yield not_supported(path, verbs, _VERBS)


def _alone(path: str, values: Sequence[str], missing: str, what: str) -> Iterator[FieldError]:
    """Errors of a list that must not be empty, and in which `*` stands alone."""
    if not values:
        yield required(path, missing)
    elif "*" in values and len(values) > 1:
        yield invalid(path, values, f"if '*' is present, must not specify other {what}")


def _urls(path: str, rule: NonResourcePolicyRule) -> Iterator[FieldError]:
    yield from _verbs(f"{path}.verbs", rule.verbs)
    path, urls = f"{path}.nonResourceURLs", rule.nonResourceURLs
    yield from _alone(path, urls, "nonResourceURLs must contain at least one value", "non-resource URLs")
    if "*" not in urls:
        for place, url in enumerate(urls):
            problem = _url_problem(url)
            if problem:
                yield invalid(f"{path}[{place}]", url, problem)


def _url_problem(url: str) -> str:
    if not url:
        return "must not be empty"
    if url == "/":
        return ""
    if not url.startswith("/"):
        return "must start with slash"
    if " " in url:
        return "must not contain white-space"
    if "//" in url:
        return "must not contain double slash"
    if "*" in url and (url.count("*") > 1 or not url.endswith("/*")):
        return "wildcard can only do suffix matching"
    return ""


def _resources(path: str, rule: ResourcePolicyRule) -> Iterator[FieldError]:
    yield from _verbs(f"{path}.verbs", rule.verbs)
    text = "resource rules must supply at least one api group"
    yield from _alone(f"{path}.apiGroups", rule.apiGroups, text, "api groups")
    text = "resource rules must supply at least one resource"
    yield from _alone(f"{path}.resources", rule.resources, text, "resources")
    path, spaces = f"{path}.namespaces", rule.namespaces
    text = "resource rules that are not cluster scoped must supply at least one namespace"
    if spaces or not rule.clusterScope:
        yield from _alone(path, spaces, text, "namespaces")
    if "*" not in spaces:
        for place, space in enumerate(spaces):
            for problem in dns_label(space):
                introduced = f"each member of this list must be '*' or a DNS-1123 label; {problem}"
                yield invalid(f"{path}[{place}]", space, introduced)


RESOURCE = Resource(
    group="flowcontrol.apiserver.k8s.io",
    version="v1",
    kind="FlowSchema",
    plural="flowschemas",
    type=FlowSchema,
    namespaced=False,
    singular="flowschema",
    subresources=(Subresource(name="status", kind="FlowSchema", verbs=("get", "patch", "update"), type=FlowSchema),),
    has_generation=True,
    validate=validate,
    validate_status=validate_status,
    columns=COLUMNS,
)
