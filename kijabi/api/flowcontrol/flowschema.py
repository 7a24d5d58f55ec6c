"""Which requests go to which priority level; read by the API server's flow control."""

from typing import Annotated

from msgspec import field

from kijabi.api.columns import AGE, NAME, NONE, column
from kijabi.api.meta import Object, Time
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Int32, Struct, Tag, empty_list


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
    columns=COLUMNS,
)
