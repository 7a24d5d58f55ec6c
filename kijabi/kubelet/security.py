"""Who a container runs as and what it may: pod and container security contexts merged into runtime options.

Pure, called by `configs.py`. A container's own setting wins over its pod's; the check of runAsNonRoot needs the
image's user, which the caller has from the runtime.
"""

from __future__ import annotations

import msgspec

from kijabi.api.core.container import Container
from kijabi.api.core.pod import Pod
from kijabi.api.core.security import SeccompProfile
from kijabi.kubelet import podspec
from kijabi.kubelet.problems import ConfigProblem
from kijabi.kubelet.runtime.interface import Image


class Security(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a ContainerConfig that is about rights; fields are named as there."""

    privileged: bool = False
    add_capabilities: tuple[str, ...] = ()
    drop_capabilities: tuple[str, ...] = ()
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_username: str = ""
    supplemental_groups: tuple[int, ...] = ()
    read_only_root: bool = False
    no_new_privileges: bool = False
    seccomp: str = ""
    masked_paths: tuple[str, ...] | None = None
    readonly_paths: tuple[str, ...] | None = None


def container_security(pod: Pod, container: Container, image: Image) -> Security:
    """The effective rights of a container. Raises ConfigProblem if runAsNonRoot cannot be kept."""
    whole, own = pod.spec.securityContext, container.securityContext
    privileged = bool(own and own.privileged)
    user = own.runAsUser if own and own.runAsUser is not None else whole.runAsUser if whole else None
    group = own.runAsGroup if own and own.runAsGroup is not None else whole.runAsGroup if whole else None
    _verify_non_root(pod, container, user, image)
    unmasked = bool(own and own.procMount == "Unmasked")
    capabilities = own.capabilities if own else None
    return Security(
        privileged=privileged,
        add_capabilities=capabilities.add if capabilities else (),
        drop_capabilities=capabilities.drop if capabilities else (),
        run_as_user=image.uid if user is None else user,
        run_as_group=group,
        run_as_username=image.username if user is None and image.uid is None else "",
        supplemental_groups=pod_groups(pod),
        read_only_root=bool(own and own.readOnlyRootFilesystem),
        no_new_privileges=bool(own and own.allowPrivilegeEscalation is False),
        seccomp="Unconfined" if privileged else seccomp(pod, container),
        masked_paths=() if unmasked else None,
        readonly_paths=() if unmasked else None,
    )


def pod_groups(pod: Pod) -> tuple[int, ...]:
    """fsGroup and the supplemental groups."""
    whole = pod.spec.securityContext
    if whole is None:
        return ()
    return (*(() if whole.fsGroup is None else (whole.fsGroup,)), *whole.supplementalGroups)


def seccomp(pod: Pod, container: Container | None = None) -> str:
    """The profile of a container, or of the sandbox without one; "" is unconfined as the default."""
    own = container.securityContext if container is not None else None
    profile = own.seccompProfile if own is not None and own.seccompProfile is not None else None
    if profile is None and pod.spec.securityContext is not None:
        profile = pod.spec.securityContext.seccompProfile
    return _profile(profile)


def _profile(profile: SeccompProfile | None) -> str:
    if profile is None:
        return ""
    if profile.type == "Localhost":
        return f"Localhost/{profile.localhostProfile or ''}"
    return profile.type


def _verify_non_root(pod: Pod, container: Container, user: int | None, image: Image) -> None:
    whole, own = pod.spec.securityContext, container.securityContext
    wanted = own.runAsNonRoot if own and own.runAsNonRoot is not None else whole.runAsNonRoot if whole else None
    if not wanted:
        return
    where = f'(pod: "{podspec.full_name(pod)}", container: {container.name})'
    if user is not None:
        if user == 0:
            raise ConfigProblem(f"container's runAsUser breaks non-root policy {where}")
        return
    if image.uid is None and image.username:
        raise ConfigProblem(
            f"container has runAsNonRoot and image has non-numeric user ({image.username}), "
            f"cannot verify user is non-root {where}"
        )
    if not image.uid:
        raise ConfigProblem(f"container has runAsNonRoot and image will run as root {where}")
