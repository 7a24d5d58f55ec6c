"""The probe types of the core group."""

from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.struct import Int32, Int64, IntOrString, Struct, Tag


class ExecAction(Struct):
    """The API type ExecAction."""

    command: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = ()


class HTTPHeader(Struct):
    """The API type HTTPHeader."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    value: Annotated[str, Tag(2, required=True)] = field(default_factory=str)


class HTTPGetAction(Struct):
    """The API type HTTPGetAction."""

    path: Annotated[str, Tag(1)] = ""
    port: Annotated[IntOrString, Tag(2, required=True)] = field(default_factory=int)
    host: Annotated[str, Tag(3)] = ""
    scheme: Annotated[str, Tag(4)] = ""
    httpHeaders: Annotated[tuple[HTTPHeader, ...], Tag(5, listType="atomic")] = ()
    protocol: Annotated[str | None, Tag(6, gate="H2CContainerProbe")] = None

    def set_defaults(self) -> None:
        """GET / by HTTP."""
        self.path = self.path or "/"
        self.scheme = self.scheme or "HTTP"


class TCPSocketAction(Struct):
    """The API type TCPSocketAction."""

    port: Annotated[IntOrString, Tag(1, required=True)] = field(default_factory=int)
    host: Annotated[str, Tag(2)] = ""


class GRPCAction(Struct):
    """The API type GRPCAction."""

    port: Annotated[Int32, Tag(1, required=True)] = field(default_factory=int)
    service: Annotated[str | None, Tag(2, default="")] = None
    mode: Annotated[str | None, Tag(3, gate="GRPCContainerProbeTLS")] = None


class ProbeHandler(Struct):
    """The API type ProbeHandler."""

    exec: Annotated[ExecAction | None, Tag(1)] = None
    httpGet: Annotated[HTTPGetAction | None, Tag(2)] = None
    tcpSocket: Annotated[TCPSocketAction | None, Tag(3)] = None
    grpc: Annotated[GRPCAction | None, Tag(4)] = None


class Probe(ProbeHandler):
    """The API type Probe."""

    INLINE: ClassVar[int] = 1

    initialDelaySeconds: Annotated[Int32, Tag(2)] = 0
    timeoutSeconds: Annotated[Int32, Tag(3)] = 0
    periodSeconds: Annotated[Int32, Tag(4)] = 0
    successThreshold: Annotated[Int32, Tag(5)] = 0
    failureThreshold: Annotated[Int32, Tag(6)] = 0
    terminationGracePeriodSeconds: Annotated[Int64 | None, Tag(7)] = None

    def set_defaults(self) -> None:
        """Every 10 s, each try up to 1 s, failed after three in a row, good again after one."""
        self.timeoutSeconds = self.timeoutSeconds or 1
        self.periodSeconds = self.periodSeconds or 10
        self.successThreshold = self.successThreshold or 1
        self.failureThreshold = self.failureThreshold or 3


class SleepAction(Struct):
    """The API type SleepAction."""

    seconds: Annotated[Int64, Tag(1, required=True)] = field(default_factory=int)


class LifecycleHandler(Struct):
    """The API type LifecycleHandler."""

    exec: Annotated[ExecAction | None, Tag(1)] = None
    httpGet: Annotated[HTTPGetAction | None, Tag(2)] = None
    tcpSocket: Annotated[TCPSocketAction | None, Tag(3)] = None
    sleep: Annotated[SleepAction | None, Tag(4)] = None


class Lifecycle(Struct):
    """The API type Lifecycle."""

    postStart: Annotated[LifecycleHandler | None, Tag(1)] = None
    preStop: Annotated[LifecycleHandler | None, Tag(2)] = None
    stopSignal: Annotated[str | None, Tag(3)] = None
