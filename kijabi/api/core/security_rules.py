"""What containers and pods may ask of the kernel: users, groups, profiles, system controls.

`container_rules.py` and `podspec_rules.py` call these. Texts are those of k8s.io/kubernetes
`pkg/apis/core/validation`.
"""

from __future__ import annotations

from re import compile as regex
from typing import TYPE_CHECKING

from kijabi.api.core.paths_rules import descending
from kijabi.api.formats import in_range, size
from kijabi.api.resource import FieldError
from kijabi.api.validation import duplicate, each, invalid, not_supported, one_of, required, too_long

if TYPE_CHECKING:
    from kijabi.api.core.pod import PodSpec
    from kijabi.api.core.security import AppArmorProfile, PodSecurityContext, SeccompProfile, SecurityContext

_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")
_LONGEST_PROFILE = 4095
_LONGEST_SYSCTL = 253
_SYSCTL = r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL_NAME = regex(_SYSCTL)
# System controls that live in the pod's own network or IPC namespace.
_NET, _IPC = ("net",), ("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue")


def user_id(path: str, value: int | None) -> list[FieldError]:
    """Errors of a user's or group's number; None is good."""
    return [] if value is None else each(path, value, in_range(value, 0, 2**31 - 1))


def validate_container(path: str, context: SecurityContext | None, *, host_users: bool) -> list[FieldError]:
    """Errors of a container's security context; host_users: the pod shares the node's user namespace."""
    if context is None:
        return []
    errors = user_id(f"{path}.runAsUser", context.runAsUser) + user_id(f"{path}.runAsGroup", context.runAsGroup)
    if context.procMount is not None:
        errors += one_of(f"{path}.procMount", context.procMount, ("Default", "Unmasked"))
        if host_users and context.procMount == "Unmasked":
            detail = "`hostUsers` must be false to use `Unmasked`"
            errors.append(invalid(f"{path}.procMount", context.procMount, detail))
    errors += _validate_seccomp(f"{path}.seccompProfile", context.seccompProfile)
    if context.allowPrivilegeEscalation is False:
        denied = "cannot set `allowPrivilegeEscalation` to false and"
        if context.privileged:
            errors.append(invalid(path, context, f"{denied} `privileged` to true"))
        if context.capabilities is not None and "CAP_SYS_ADMIN" in context.capabilities.add:
            errors.append(invalid(path, context, f"{denied} `capabilities.Add` CAP_SYS_ADMIN"))
    return errors + _validate_apparmor(f"{path}.appArmorProfile", context.appArmorProfile)


def validate_pod(path: str, context: PodSecurityContext | None, spec: PodSpec) -> list[FieldError]:
    """Errors of a pod's security context."""
    if context is None:
        return []
    errors: list[FieldError] = []
    for name in ("fsGroup", "runAsUser", "runAsGroup"):
        errors += user_id(f"{path}.{name}", getattr(context, name))
    for index, group in enumerate(context.supplementalGroups):
        errors += user_id(f"{path}.supplementalGroups[{index}]", group)
    errors += _validate_sysctls(f"{path}.sysctls", context, spec)
    for name, known in (
        ("fsGroupChangePolicy", ("Always", "OnRootMismatch")),
        ("supplementalGroupsPolicy", ("Merge", "Strict")),
        ("seLinuxChangePolicy", ("MountOption", "Recursive")),
    ):
        value = getattr(context, name)
        if value is not None:
            errors += one_of(f"{path}.{name}", value, known)
    errors += _validate_seccomp(f"{path}.seccompProfile", context.seccompProfile)
    return errors + _validate_apparmor(f"{path}.appArmorProfile", context.appArmorProfile)


def _validate_sysctls(path: str, context: PodSecurityContext, spec: PodSpec) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, sysctl in enumerate(context.sysctls):
        here, name = f"{path}[{index}].name", sysctl.name
        if not name:
            errors.append(required(here))
        elif size(name) > _LONGEST_SYSCTL or not _SYSCTL_NAME.fullmatch(name):
            detail = f"must have at most {_LONGEST_SYSCTL} characters and match regex ^{_SYSCTL}$"
            errors.append(invalid(here, name, detail))
        elif name in seen:
            errors.append(duplicate(here, name))
        seen.add(name)
        dotted = name.replace("/", ".")
        if spec.hostNetwork and dotted.partition(".")[0] in _NET:
            errors.append(invalid(here, name, "may not be specified when 'hostNetwork' is true"))
        elif spec.hostIPC and dotted.startswith(_IPC):
            errors.append(invalid(here, name, "may not be specified when 'hostIPC' is true"))
    return errors


def _validate_seccomp(path: str, profile: SeccompProfile | None) -> list[FieldError]:
    if profile is None:
        return []
    if not profile.type:
        errors = [required(f"{path}.type", "type is required when seccompProfile is set")]
    else:
        errors = one_of(f"{path}.type", profile.type, _PROFILES)
    path = f"{path}.localhostProfile"
    if profile.type == "Localhost":
        if profile.localhostProfile is None:
            return [*errors, required(path, "must be set when seccomp type is Localhost")]
        return errors + descending(path, profile.localhostProfile)
    if profile.localhostProfile is not None:
        errors.append(invalid(path, profile, "can only be set when seccomp type is Localhost"))
    return errors


def _validate_apparmor(path: str, profile: AppArmorProfile | None) -> list[FieldError]:
    if profile is None:
        return []
    if not profile.type:
        return [required(f"{path}.type", "type is required when appArmorProfile is set")]
    if profile.type not in _PROFILES:
        return [not_supported(f"{path}.type", profile.type, _PROFILES)]
    path, name = f"{path}.localhostProfile", profile.localhostProfile
    if profile.type != "Localhost":
        wrong = invalid(path, name, "can only be set when AppArmor type is Localhost")
        return [] if name is None else [wrong]
    if not name:
        return [required(path, "must be set when AppArmor type is Localhost")]
    errors = [invalid(path, name, "must not be padded with whitespace")] if name != name.strip() else []
    return [*errors, too_long(path, _LONGEST_PROFILE)] if size(name) > _LONGEST_PROFILE else errors
