"""Who holds something, and since when: leader election and node heartbeats."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import field

from kijabi.api.columns import AGE, NAME, column
from kijabi.api.meta import MicroTime, Object
from kijabi.api.resource import FieldError, Resource
from kijabi.api.struct import Int32, Struct, Tag
from kijabi.api.validation import invalid, non_negative


class LeaseSpec(Struct):
    """The holder, when it took and renewed the lease, and how long it lasts unrenewed."""

    holderIdentity: Annotated[str | None, Tag(1)] = None
    leaseDurationSeconds: Annotated[Int32 | None, Tag(2)] = None
    acquireTime: Annotated[MicroTime | None, Tag(3)] = None
    renewTime: Annotated[MicroTime | None, Tag(4)] = None
    leaseTransitions: Annotated[Int32 | None, Tag(5)] = None
    strategy: Annotated[str | None, Tag(6, gate="CoordinatedLeaderElection")] = None
    preferredHolder: Annotated[str | None, Tag(7, gate="CoordinatedLeaderElection")] = None


class Lease(Object):
    """A lock that runs out unless its holder renews it."""

    spec: Annotated[LeaseSpec, Tag(2)] = field(default_factory=LeaseSpec)


COLUMNS = (NAME, column("Holder", lambda obj: obj.spec.holderIdentity or "", "Who has it."), AGE)


def validate(obj: Lease) -> Sequence[FieldError]:
    """A lease lasts a while, and changes hands a number of times."""
    spec, errors = obj.spec, list[FieldError]()
    if spec.leaseDurationSeconds is not None and spec.leaseDurationSeconds <= 0:
        errors.append(invalid("spec.leaseDurationSeconds", spec.leaseDurationSeconds, "must be greater than 0"))
    return errors + non_negative("spec.leaseTransitions", spec.leaseTransitions)


RESOURCE = Resource(
    group="coordination.k8s.io",
    version="v1",
    kind="Lease",
    plural="leases",
    type=Lease,
    singular="lease",
    columns=COLUMNS,
    validate=validate,
    create_on_update=True,
    update_needs_version=True,
)
