"""CRI messages of images and of usage; the companion of `cri_messages`, which says how they are written."""

from __future__ import annotations

from typing import Annotated

from kijabi.api.struct import Struct, Tag
from kijabi.kubelet.runtime.cri_messages import ImageSpec, Int64Value, UInt64Value


class Image(Struct):
    """An image."""

    id: Annotated[str, Tag(1)] = ""
    repo_tags: Annotated[tuple[str, ...], Tag(2)] = ()
    repo_digests: Annotated[tuple[str, ...], Tag(3)] = ()
    size: Annotated[int, Tag(4)] = 0
    uid: Annotated[Int64Value | None, Tag(5)] = None
    username: Annotated[str, Tag(6)] = ""
    pinned: Annotated[bool, Tag(8)] = False


class ImageRequest(Struct):
    """ImageStatusRequest and RemoveImageRequest."""

    image: Annotated[ImageSpec | None, Tag(1)] = None


class ImageStatusResponse(Struct):
    """The image, if it is here."""

    image: Annotated[Image | None, Tag(1)] = None


class ListImagesResponse(Struct):
    """All images."""

    images: Annotated[tuple[Image, ...], Tag(1)] = ()


class AuthConfig(Struct):
    """Registry credentials."""

    username: Annotated[str, Tag(1)] = ""
    password: Annotated[str, Tag(2)] = ""
    auth: Annotated[str, Tag(3)] = ""
    server_address: Annotated[str, Tag(4)] = ""
    identity_token: Annotated[str, Tag(5)] = ""
    registry_token: Annotated[str, Tag(6)] = ""


class PullImageRequest(Struct):
    """Which image, and as whom."""

    image: Annotated[ImageSpec | None, Tag(1)] = None
    auth: Annotated[AuthConfig | None, Tag(2)] = None


class PullImageResponse(Struct):
    """The image's id."""

    image_ref: Annotated[str, Tag(1)] = ""


class FilesystemIdentifier(Struct):
    """A file system by its mount point."""

    mountpoint: Annotated[str, Tag(1)] = ""


class FilesystemUsage(Struct):
    """What is used of a file system."""

    timestamp: Annotated[int, Tag(1)] = 0
    fs_id: Annotated[FilesystemIdentifier | None, Tag(2)] = None
    used_bytes: Annotated[UInt64Value | None, Tag(3)] = None
    inodes_used: Annotated[UInt64Value | None, Tag(4)] = None


class ImageFsInfoResponse(Struct):
    """The file systems of images."""

    image_filesystems: Annotated[tuple[FilesystemUsage, ...], Tag(1)] = ()


class ContainerAttributes(Struct):
    """Whose statistics they are."""

    id: Annotated[str, Tag(1)] = ""


class CpuUsage(Struct):
    """Processor time since the start."""

    timestamp: Annotated[int, Tag(1)] = 0
    usage_core_nano_seconds: Annotated[UInt64Value | None, Tag(2)] = None


class MemoryUsage(Struct):
    """Memory now."""

    timestamp: Annotated[int, Tag(1)] = 0
    working_set_bytes: Annotated[UInt64Value | None, Tag(2)] = None
    usage_bytes: Annotated[UInt64Value | None, Tag(4)] = None


class ContainerStats(Struct):
    """What a container uses."""

    attributes: Annotated[ContainerAttributes | None, Tag(1)] = None
    cpu: Annotated[CpuUsage | None, Tag(2)] = None
    memory: Annotated[MemoryUsage | None, Tag(3)] = None
    writable_layer: Annotated[FilesystemUsage | None, Tag(4)] = None


class ListContainerStatsResponse(Struct):
    """What all containers use."""

    stats: Annotated[tuple[ContainerStats, ...], Tag(1)] = ()
