"""What admission webhooks and policies share: which writes they match, and their parameters."""

from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.meta import LabelSelector
from kijabi.api.struct import Struct, Tag


class ParamKind(Struct):
    """The kind of object that holds a policy's parameters."""

    ATOMIC: ClassVar[bool] = True

    apiVersion: Annotated[str, Tag(1)] = ""
    kind: Annotated[str, Tag(2)] = ""


class Rule(Struct):
    """Resources by group, version and name, and their scope: Cluster, Namespaced or `*`."""

    apiGroups: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = ()
    apiVersions: Annotated[tuple[str, ...], Tag(2, listType="atomic")] = ()
    resources: Annotated[tuple[str, ...], Tag(3, listType="atomic")] = ()
    scope: Annotated[str | None, Tag(4)] = None

    def set_defaults(self) -> None:
        """Any scope."""
        if self.scope is None:
            self.scope = "*"


class RuleWithOperations(Rule):
    """A rule, and the operations on its resources: CREATE, UPDATE, DELETE, CONNECT or `*`."""

    INLINE: ClassVar[int] = 2

    operations: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = ()


class NamedRuleWithOperations(RuleWithOperations):
    """A rule for these operations, narrowed to objects with certain names."""

    ATOMIC: ClassVar[bool] = True
    INLINE: ClassVar[int] = 2

    resourceNames: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = ()


class MatchResources(Struct):
    """The writes that a policy looks at: rules to include, rules to exclude, and selectors."""

    ATOMIC: ClassVar[bool] = True

    namespaceSelector: Annotated[LabelSelector | None, Tag(1)] = None
    objectSelector: Annotated[LabelSelector | None, Tag(2)] = None
    resourceRules: Annotated[tuple[NamedRuleWithOperations, ...], Tag(3, listType="atomic")] = ()
    excludeResourceRules: Annotated[tuple[NamedRuleWithOperations, ...], Tag(4, listType="atomic")] = ()
    matchPolicy: Annotated[str | None, Tag(7)] = None

    def set_defaults(self) -> None:
        """Equivalent versions count, and selectors that are absent select everything."""
        if self.matchPolicy is None:
            self.matchPolicy = "Equivalent"
        if self.namespaceSelector is None:
            self.namespaceSelector = LabelSelector()
        if self.objectSelector is None:
            self.objectSelector = LabelSelector()


class Variable(Struct):
    """A named CEL expression that later expressions read as `variables.name`."""

    ATOMIC: ClassVar[bool] = True

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    expression: Annotated[str, Tag(2, required=True)] = field(default_factory=str)


class MatchCondition(Struct):
    """A CEL expression that must hold before a webhook or policy is asked at all."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    expression: Annotated[str, Tag(2, required=True)] = field(default_factory=str)


class ParamRef(Struct):
    """Which parameter objects a binding uses, by name or by selector, and what to do if there are none."""

    ATOMIC: ClassVar[bool] = True

    name: Annotated[str, Tag(1)] = ""
    namespace: Annotated[str, Tag(2)] = ""
    selector: Annotated[LabelSelector | None, Tag(3)] = None
    parameterNotFoundAction: Annotated[str | None, Tag(4)] = None
