"""The podoptions types of the core group."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Time, TypeMeta
from kijabi.api.struct import Int32, Int64, Tag, empty_list


class PodLogOptions(TypeMeta):
    """The API type PodLogOptions."""

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
    """The API type PodAttachOptions."""

    stdin: Annotated[bool, Tag(1)] = False
    stdout: Annotated[bool, Tag(2)] = False
    stderr: Annotated[bool, Tag(3)] = False
    tty: Annotated[bool, Tag(4)] = False
    container: Annotated[str, Tag(5)] = ""


class PodExecOptions(TypeMeta):
    """The API type PodExecOptions."""

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
    """The API type PodPortForwardOptions."""

    ports: Annotated[tuple[Int32, ...], Tag(1, listType="atomic")] = ()


class PodProxyOptions(TypeMeta):
    """The API type PodProxyOptions."""

    path: Annotated[str, Tag(1)] = ""


class NodeProxyOptions(TypeMeta):
    """The API type NodeProxyOptions."""

    path: Annotated[str, Tag(1)] = ""


class ServiceProxyOptions(TypeMeta):
    """The API type ServiceProxyOptions."""

    path: Annotated[str, Tag(1)] = ""
