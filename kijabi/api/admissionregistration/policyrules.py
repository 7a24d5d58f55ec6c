"""The policyrules types of the admissionregistration group."""

from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.meta import LabelSelector
from kijabi.api.struct import Struct, Tag


class ParamKind(Struct):
    """The API type ParamKind."""

    ATOMIC: ClassVar[bool] = True

    apiVersion: Annotated[str, Tag(1)] = ""
    kind: Annotated[str, Tag(2)] = ""


class Rule(Struct):
    """The API type Rule."""

    apiGroups: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = ()
    apiVersions: Annotated[tuple[str, ...], Tag(2, listType="atomic")] = ()
    resources: Annotated[tuple[str, ...], Tag(3, listType="atomic")] = ()
    scope: Annotated[str | None, Tag(4)] = None


class RuleWithOperations(Rule):
    """The API type RuleWithOperations."""

    INLINE: ClassVar[int] = 2

    operations: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = ()


class NamedRuleWithOperations(RuleWithOperations):
    """The API type NamedRuleWithOperations."""

    ATOMIC: ClassVar[bool] = True
    INLINE: ClassVar[int] = 2

    resourceNames: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = ()


class MatchResources(Struct):
    """The API type MatchResources."""

    ATOMIC: ClassVar[bool] = True

    namespaceSelector: Annotated[LabelSelector | None, Tag(1)] = None
    objectSelector: Annotated[LabelSelector | None, Tag(2)] = None
    resourceRules: Annotated[tuple[NamedRuleWithOperations, ...], Tag(3, listType="atomic")] = ()
    excludeResourceRules: Annotated[tuple[NamedRuleWithOperations, ...], Tag(4, listType="atomic")] = ()
    matchPolicy: Annotated[str | None, Tag(7)] = None


class Variable(Struct):
    """The API type Variable."""

    ATOMIC: ClassVar[bool] = True

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    expression: Annotated[str, Tag(2, required=True)] = field(default_factory=str)


class MatchCondition(Struct):
    """One condition of a Match."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    expression: Annotated[str, Tag(2, required=True)] = field(default_factory=str)


class ParamRef(Struct):
    """The API type ParamRef."""

    ATOMIC: ClassVar[bool] = True

    name: Annotated[str, Tag(1)] = ""
    namespace: Annotated[str, Tag(2)] = ""
    selector: Annotated[LabelSelector | None, Tag(3)] = None
    parameterNotFoundAction: Annotated[str | None, Tag(4)] = None
