"""The answer of /version, and which of a group's versions is the better one."""

import re
from typing import Annotated

from msgspec import field

from kijabi.api.struct import Struct, Tag


class Info(Struct):
    """Version, commit and build of the server; clients read major, minor and gitVersion."""

    major: Annotated[str, Tag(required=True)] = field(default_factory=str)
    minor: Annotated[str, Tag(required=True)] = field(default_factory=str)
    emulationMajor: Annotated[str, Tag()] = ""
    emulationMinor: Annotated[str, Tag()] = ""
    minCompatibilityMajor: Annotated[str, Tag()] = ""
    minCompatibilityMinor: Annotated[str, Tag()] = ""
    gitVersion: Annotated[str, Tag(required=True)] = field(default_factory=str)
    gitCommit: Annotated[str, Tag(required=True)] = field(default_factory=str)
    gitTreeState: Annotated[str, Tag(required=True)] = field(default_factory=str)
    buildDate: Annotated[str, Tag(required=True)] = field(default_factory=str)
    goVersion: Annotated[str, Tag(required=True)] = field(default_factory=str)
    compiler: Annotated[str, Tag(required=True)] = field(default_factory=str)
    platform: Annotated[str, Tag(required=True)] = field(default_factory=str)


_KUBE = re.compile(r"v([0-9]+)(?:(alpha|beta)([0-9]+))?")
_STAGES = {None: 0, "beta": 1, "alpha": 2}


def priority(version: str) -> tuple[int, int, int, int, str]:
    """A sort key: v10, v2, v1, v2beta2, v2beta1, v1beta1, v1alpha1, then all other names by their text.

    The best comes first (apimachinery `pkg/version` CompareKubeAwareVersionStrings).
    """
    found = _KUBE.fullmatch(version)
    if found is None:
        return (1, 0, 0, 0, version)
    major, stage, minor = found.groups()
    return (0, _STAGES[stage], -int(major), -int(minor or 0), "")
