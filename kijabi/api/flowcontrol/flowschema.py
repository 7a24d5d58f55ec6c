"""The flowschema types of the flowcontrol group."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Object, Time
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Int32, Struct, Tag, empty_list


class PriorityLevelConfigurationReference(Struct):
    """The API type PriorityLevelConfigurationReference."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)


class FlowDistinguisherMethod(Struct):
    """The API type FlowDistinguisherMethod."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)


class UserSubject(Struct):
    """The API type UserSubject."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)


class GroupSubject(Struct):
    """The API type GroupSubject."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)


class ServiceAccountSubject(Struct):
    """The API type ServiceAccountSubject."""

    namespace: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    name: Annotated[str, Tag(2, required=True)] = field(default_factory=str)


class Subject(Struct):
    """The API type Subject."""

    kind: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    user: Annotated[UserSubject | None, Tag(2)] = None
    group: Annotated[GroupSubject | None, Tag(3)] = None
    serviceAccount: Annotated[ServiceAccountSubject | None, Tag(4)] = None


class ResourcePolicyRule(Struct):
    """The API type ResourcePolicyRule."""

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
    """The API type NonResourcePolicyRule."""

    verbs: Annotated[
        tuple[str, ...],
        Tag(1, listType="set", required=True),
    ] = field(default_factory=empty_list)
    nonResourceURLs: Annotated[
        tuple[str, ...],
        Tag(6, listType="set", required=True),
    ] = field(default_factory=empty_list)


class PolicyRulesWithSubjects(Struct):
    """The API type PolicyRulesWithSubjects."""

    subjects: Annotated[
        tuple[Subject, ...],
        Tag(1, listType="atomic", required=True),
    ] = field(default_factory=empty_list)
    resourceRules: Annotated[tuple[ResourcePolicyRule, ...], Tag(2, listType="atomic")] = ()
    nonResourceRules: Annotated[tuple[NonResourcePolicyRule, ...], Tag(3, listType="atomic")] = ()


class FlowSchemaSpec(Struct):
    """What is asked of a Flow Schema."""

    priorityLevelConfiguration: Annotated[
        PriorityLevelConfigurationReference,
        Tag(1, required=True),
    ] = field(default_factory=PriorityLevelConfigurationReference)
    matchingPrecedence: Annotated[Int32, Tag(2)] = field(default_factory=int)
    distinguisherMethod: Annotated[FlowDistinguisherMethod | None, Tag(3)] = None
    rules: Annotated[tuple[PolicyRulesWithSubjects, ...], Tag(4, listType="atomic")] = ()


class FlowSchemaCondition(Struct):
    """One condition of a Flow Schema."""

    type: Annotated[str, Tag(1, required=True)] = ""
    status: Annotated[str, Tag(2)] = ""
    lastTransitionTime: Annotated[Time, Tag(3)] = Time()
    reason: Annotated[str, Tag(4)] = ""
    message: Annotated[str, Tag(5)] = ""


class FlowSchemaStatus(Struct):
    """What was last seen of a Flow Schema."""

    conditions: Annotated[
        tuple[FlowSchemaCondition, ...],
        Tag(1, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()


class FlowSchema(Object):
    """The API type FlowSchema."""

    spec: Annotated[FlowSchemaSpec, Tag(2, required=True)] = field(default_factory=FlowSchemaSpec)
    status: Annotated[FlowSchemaStatus, Tag(3)] = field(default_factory=FlowSchemaStatus)


RESOURCE = Resource(
    group="flowcontrol.apiserver.k8s.io",
    version="v1",
    kind="FlowSchema",
    plural="flowschemas",
    type=FlowSchema,
    namespaced=False,
    singular="flowschema",
    subresources=(
        Subresource(name="status", kind="FlowSchema", verbs=("get", "patch", "update"), type=FlowSchema),
    ),
    has_generation=True,
)
