"""Questions to a container: probes and lifecycle hooks; asked by the kubelet."""

from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.struct import Int32, Int64, IntOrString, Struct, Tag


class ExecAction(Struct):
    """A command in the container; exit code 0 is success."""

    command: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = ()


class HTTPHeader(Struct):
    """A header to send."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    value: Annotated[str, Tag(2, required=True)] = field(default_factory=str)


class HTTPGetAction(Struct):
    """An HTTP GET; 200 to 399 is success."""

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
    """A TCP connection; opening it is success."""

    port: Annotated[IntOrString, Tag(1, required=True)] = field(default_factory=int)
    host: Annotated[str, Tag(2)] = ""


class GRPCAction(Struct):
    """A call of the gRPC health service; SERVING is success."""

    port: Annotated[Int32, Tag(1, required=True)] = field(default_factory=int)
    service: Annotated[str | None, Tag(2, default="")] = None
    mode: Annotated[str | None, Tag(3, gate="GRPCContainerProbeTLS")] = None


class ProbeHandler(Struct):
    """How to ask; one member is set."""

    exec: Annotated[ExecAction | None, Tag(1)] = None
    httpGet: Annotated[HTTPGetAction | None, Tag(2)] = None
    tcpSocket: Annotated[TCPSocketAction | None, Tag(3)] = None
    grpc: Annotated[GRPCAction | None, Tag(4)] = None


class Probe(ProbeHandler):
    """How to ask, how often, and how many answers count."""

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
    """Waiting, in seconds."""

    seconds: Annotated[Int64, Tag(1, required=True)] = field(default_factory=int)


class LifecycleHandler(Struct):
    """What to do at a moment of a container's life; one member is set."""

    exec: Annotated[ExecAction | None, Tag(1)] = None
    httpGet: Annotated[HTTPGetAction | None, Tag(2)] = None
    tcpSocket: Annotated[TCPSocketAction | None, Tag(3)] = None
    sleep: Annotated[SleepAction | None, Tag(4)] = None


class Lifecycle(Struct):
    """What to do after start and before stop, and the signal that stops."""

    postStart: Annotated[LifecycleHandler | None, Tag(1)] = None
    preStop: Annotated[LifecycleHandler | None, Tag(2)] = None
    stopSignal: Annotated[str | None, Tag(3)] = None
