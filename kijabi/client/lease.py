"""Which of several processes leads: an election by a Lease, as client-go `tools/leaderelection` holds it.

Controller manager and scheduler run their loops inside `Elector.lead`. Clocks of candidates are not compared:
a candidate takes a lease over when it has not seen it change for the lease's duration by its own monotonic
clock.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from kijabi.api import codec
from kijabi.api.coordination.lease import Lease, LeaseSpec
from kijabi.api.meta import ObjectMeta, micro_now
from kijabi.base import clock, rand
from kijabi.base.errors import AlreadyExists, ApiError, Conflict, ConnectionLost, KijabiError, NotFound
from kijabi.client.client import Client

log = logging.getLogger(__name__)

# client-go's recommended timing, in seconds: a lease holds for DURATION after its last renewal, the leader
# gives up if it could not renew for DEADLINE, and everybody tries every RETRY.
DURATION = 15
DEADLINE = 10.0
RETRY = 2.0
JITTER = 1.2


class LeadershipLost(KijabiError):
    """Another may lead now: everything that the leader did must have ended."""


class Elector:
    """One candidate for one lease.

    identity: tells candidates apart; unique to the process, such as `host_uuid`.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        identity: str,
        *,
        namespace: str = "kube-system",
        duration: int = DURATION,
        deadline: float = DEADLINE,
        retry: float = RETRY,
    ) -> None:
        if not duration > deadline > JITTER * retry:
            raise ValueError("a lease's duration must exceed its deadline, and that its retry interval")
        self.identity = identity
        self._client = client
        self._name = name
        self._namespace = namespace
        self._duration = duration
        self._deadline = deadline
        self._retry = retry
        self._seen: Lease | None = None  # the lease as last seen …
        self._seen_at = 0.0  # … and when that changed, by the monotonic clock

    @property
    def leading(self) -> bool:
        """Whether the lease as last seen is ours."""
        return self.leader == self.identity

    @property
    def leader(self) -> str:
        """Who holds the lease as last seen; empty if nobody or not known."""
        return (self._seen.spec.holderIdentity or "") if self._seen is not None else ""

    async def lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Wait to be leader, then do `work` while renewing; return when work does, and give the lease up.

        Raises LeadershipLost, after work was cancelled, when the lease could not be renewed in time.
        """
        await self._acquire()
        log.info("leading", extra={"lease": self._name, "identity": self.identity})
        lost = ""
        try:
            async with asyncio.TaskGroup() as group:
                renewing = group.create_task(self._renew(), name=f"lease/{self._name}")
                await work()
                renewing.cancel()
        except* LeadershipLost as group_of_one:
            lost = str(group_of_one.exceptions[0])
        finally:
            await self._release()
        if lost:  # Raised up there it would be in a group again, with the Python of Debian 12.
            raise LeadershipLost(lost)

    async def _acquire(self) -> None:
        while not await self._attempt():  # noqa: ASYNC110  another machine's clock gives no event
            await asyncio.sleep(self._retry * (1 + JITTER * rand.rng().random()))

    async def _renew(self) -> None:
        """Renew for ever; raises LeadershipLost."""
        renewed = clock.monotonic()
        while True:
            await asyncio.sleep(self._retry)
            try:
                async with asyncio.timeout(max(0.0, renewed + self._deadline - clock.monotonic())):
                    done = await self._attempt()
            except TimeoutError:
                done = False
            if done:
                renewed = clock.monotonic()
            elif not self.leading or clock.monotonic() >= renewed + self._deadline:
                raise LeadershipLost(f"could not renew the lease {self._name} for {self._deadline:g} s")

    async def _attempt(self) -> bool:
        """Take or renew the lease if that is possible now; whether we hold it."""
        try:
            return await self._take()
        except (ApiError, ConnectionLost) as error:
            log.info("lease not taken", extra={"lease": self._name, "error": str(error)})
            return False

    async def _take(self) -> bool:
        if self._seen is not None and self.leading:
            try:  # Nobody else writes to a lease that is held, so one request is enough.
                self._saw(await self._client.update(self._claimed(self._seen)))
                return True
            except (Conflict, NotFound):
                pass  # Somebody did: look.
        try:
            lease = await self._client.get(Lease, self._name, self._namespace)
        except NotFound:
            fresh = Lease(metadata=ObjectMeta(name=self._name, namespace=self._namespace), spec=LeaseSpec())
            try:
                self._saw(await self._client.create(self._claimed(fresh)))
            except AlreadyExists:
                return False
            return True
        if self._seen is None or lease.metadata.resourceVersion != self._seen.metadata.resourceVersion:
            self._saw(lease)
        holder = lease.spec.holderIdentity or ""
        held_until = self._seen_at + (lease.spec.leaseDurationSeconds or 0)
        if holder not in ("", self.identity) and clock.monotonic() < held_until:
            return False
        try:
            self._saw(await self._client.update(self._claimed(lease)))
        except Conflict:
            return False
        return True

    def _claimed(self, lease: Lease) -> Lease:
        """The lease as we would hold it from now."""
        ours = codec.clone(lease)
        now = micro_now()
        spec = ours.spec
        if spec.holderIdentity != self.identity:
            spec.acquireTime = now
            spec.leaseTransitions = (spec.leaseTransitions or 0) + (1 if spec.holderIdentity is not None else 0)
        spec.holderIdentity = self.identity
        spec.leaseDurationSeconds = self._duration
        spec.renewTime = now
        return ours

    def _saw(self, lease: Lease) -> None:
        if self.leader != (lease.spec.holderIdentity or ""):
            log.info("new leader", extra={"lease": self._name, "leader": lease.spec.holderIdentity or ""})
        self._seen = lease
        self._seen_at = clock.monotonic()

    async def _release(self) -> None:
        """Let another lead without waiting for the lease to run out; it does no harm if that fails."""
        if self._seen is None or not self.leading:
            return
        ours = codec.clone(self._seen)
        ours.spec.holderIdentity = ""
        ours.spec.leaseDurationSeconds = 1
        ours.spec.renewTime = micro_now()
        try:
            async with asyncio.timeout(self._retry):
                self._saw(await self._client.update(ours))
        except (ApiError, ConnectionLost, TimeoutError) as error:
            log.info("lease not released", extra={"lease": self._name, "error": str(error)})
