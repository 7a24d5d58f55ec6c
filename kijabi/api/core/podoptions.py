"""The options of pod, node and service subresources; they come as query parameters."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Time, TypeMeta
from kijabi.api.struct import Int32, Int64, Tag, empty_list


class PodLogOptions(TypeMeta):
    """Which log to read, from where on, how much, and whether to follow it."""

    container: Annotated[str, Tag(1)] = ""
    follow: Annotated[bool, Tag(2)] = False
    previous: Annotated[bool, Tag(3)] = False
    sinceSeconds: Annotated[Int64 | None, Tag(4)] = None
    sinceTime: Annotated[Time | None, Tag(5)] = None
    timestamps: Annotated[bool, Tag(6)] = False
    tailLines: Annotated[Int64 | None, Tag(7)] = None
    limitBytes: Annotated[Int64 | None, Tag(8)] = None
    insecureSkipTLSVerifyBackend: Annotated[bool, Tag(9)] = False
    stream: Annotated[str | None, Tag(10, gate="PodLogsQuerySplitStreams")] = None


class PodAttachOptions(TypeMeta):
    """Which container to attach to, with which streams."""

    stdin: Annotated[bool, Tag(1)] = False
    stdout: Annotated[bool, Tag(2)] = False
    stderr: Annotated[bool, Tag(3)] = False
    tty: Annotated[bool, Tag(4)] = False
    container: Annotated[str, Tag(5)] = ""


class PodExecOptions(TypeMeta):
    """Which command to run in which container, with which streams."""

    stdin: Annotated[bool, Tag(1)] = False
    stdout: Annotated[bool, Tag(2)] = False
    stderr: Annotated[bool, Tag(3)] = False
    tty: Annotated[bool, Tag(4)] = False
    container: Annotated[str, Tag(5)] = ""
    command: Annotated[
        tuple[str, ...],
        Tag(6, listType="atomic", required=True),
    ] = field(default_factory=empty_list)


class PodPortForwardOptions(TypeMeta):
    """The ports to forward."""

    ports: Annotated[tuple[Int32, ...], Tag(1, listType="atomic")] = ()


class PodProxyOptions(TypeMeta):
    """The path behind a pod's proxy."""

    path: Annotated[str, Tag(1)] = ""


class NodeProxyOptions(TypeMeta):
    """The path behind a node's proxy."""

    path: Annotated[str, Tag(1)] = ""


class ServiceProxyOptions(TypeMeta):
    """The path behind a service's proxy."""

    path: Annotated[str, Tag(1)] = ""
