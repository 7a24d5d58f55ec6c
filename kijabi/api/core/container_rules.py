"""What the containers of a pod may be: plain ones, those that go first, and those added for debugging.

`podspec_rules.py` calls these. Texts and order are those of k8s.io/kubernetes `pkg/apis/core/validation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from kijabi.api.core.env_rules import validate_env, validate_env_from
from kijabi.api.core.kinds import PROTOCOLS, PULL_POLICIES
from kijabi.api.core.paths_rules import descending, no_backsteps
from kijabi.api.core.probe_rules import validate_lifecycle, validate_probes
from kijabi.api.core.resources import ResourceRequirements
from kijabi.api.core.resources_rules import validate_requirements
from kijabi.api.core.security_rules import validate_container as validate_security
from kijabi.api.formats import dns_label, port_name, port_number
from kijabi.api.resource import FieldError
from kijabi.api.validation import (
    duplicate,
    each,
    forbidden,
    invalid,
    not_found,
    not_supported,
    one_of,
    required,
    too_many,
)

if TYPE_CHECKING:
    from kijabi.api.core.container import Container, ContainerPort, EphemeralContainer, VolumeDevice, VolumeMount
    from kijabi.api.core.pod import PodSpec
    from kijabi.api.core.volume import Volume

_MOST_RULES, _MOST_CODES = 20, 255
_PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")


class Scene(msgspec.Struct, frozen=True):
    """What containers are checked against. volumes: the sound ones by name. claims: names of the pod's."""

    spec: PodSpec
    volumes: Mapping[str, Volume]
    claims: frozenset[str]

    @property
    def host_users(self) -> bool:
        """Whether the pod shares the node's user namespace."""
        return self.spec.hostUsers is not False

    @property
    def os(self) -> str:
        """The operating system that the pod asks for."""
        return self.spec.os.name if self.spec.os else ""


def validate_containers(path: str, scene: Scene) -> list[FieldError]:
    """Errors of the plain containers: at least one, each by a name of its own."""
    spec = scene.spec
    if not spec.containers:
        return [required(path)]
    errors: list[FieldError] = []
    names: set[str] = set()
    for index, container in enumerate(spec.containers):
        here = f"{path}[{index}]"
        errors += _validate_common(here, container, scene)
        if container.name in names:
            errors.append(duplicate(f"{here}.name", container.name))
        names.add(container.name)
        grace = spec.terminationGracePeriodSeconds
        errors += validate_lifecycle(f"{here}.lifecycle", container.lifecycle, grace, scene.os)
        errors += validate_probes(here, container)
        errors += _validate_restart(here, container)
    return errors + _validate_host_ports(path, spec.containers)


def validate_init_containers(path: str, scene: Scene) -> list[FieldError]:
    """Errors of the containers that go first; those that restart always are sidecars (KEP-753)."""
    spec = scene.spec
    errors: list[FieldError] = []
    names = {container.name for container in spec.containers}
    for index, container in enumerate(spec.initContainers):
        here = f"{path}[{index}]"
        errors += _validate_common(here, container, scene)
        errors += _validate_restart(here, container)
        if container.name in names:
            errors.append(duplicate(f"{here}.name", container.name))
        elif container.name:
            names.add(container.name)
        errors += _validate_host_ports(path, (container,))
        if container.restartPolicy == "Always":
            grace = spec.terminationGracePeriodSeconds
            errors += validate_lifecycle(f"{here}.lifecycle", container.lifecycle, grace, scene.os)
            errors += validate_probes(here, container)
            continue
        for name in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
            if getattr(container, name) is not None:
                detail = "may not be set for init containers without restartPolicy=Always"
                errors.append(forbidden(f"{here}.{name}", detail))
        for place, policy in enumerate(container.resizePolicy):
            if policy.restartPolicy == "RestartContainer":
                detail = "must not be set to 'RestartContainer' for non-sidecar initContainers"
                errors.append(invalid(f"{here}.resizePolicy[{place}].restartPolicy", policy.restartPolicy, detail))
    return errors


def validate_ephemeral_containers(path: str, scene: Scene) -> list[FieldError]:
    """Errors of the containers added to a running pod for debugging (KEP-277)."""
    errors: list[FieldError] = []
    others = {container.name for container in (*scene.spec.containers, *scene.spec.initContainers)}
    names = set(others)
    denied = "cannot be set for an Ephemeral Container"
    for index, container in enumerate(scene.spec.ephemeralContainers):
        here = f"{path}[{index}]"
        errors += _validate_common(here, container, scene)
        errors += _validate_blanks(f"{here}.image", container.image)
        if container.name in names:
            errors.append(duplicate(f"{here}.name", container.name))
        names.add(container.name)
        target = container.targetContainerName
        if target and target not in others:
            errors.append(not_found(f"{here}.targetContainerName", target))
        errors += [forbidden(f"{here}.{name}", denied) for name in _NOT_EPHEMERAL if getattr(container, name)]
        if container.resources != ResourceRequirements():
            errors.append(forbidden(f"{here}.resources", denied))
        for place, mount in enumerate(container.volumeMounts):
            for name in ("subPath", "subPathExpr"):
                if getattr(mount, name):
                    errors.append(forbidden(f"{here}.volumeMounts[{place}].{name}", denied))
    return errors


_NOT_EPHEMERAL = (
    "ports",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
)


def validate_images(path: str, containers: Iterable[Container]) -> list[FieldError]:
    """Errors of images that only a Pod minds, not a template: blanks around them."""
    return [
        error
        for index, container in enumerate(containers)
        for error in _validate_blanks(f"{path}[{index}].image", container.image)
    ]


def _validate_blanks(path: str, image: str) -> list[FieldError]:
    return [invalid(path, image, "must not have leading or trailing whitespace")] if image != image.strip() else []


def _validate_common(path: str, container: Container | EphemeralContainer, scene: Scene) -> list[FieldError]:
    errors = each(f"{path}.name", container.name, dns_label(container.name)) if container.name else []
    if not container.name:
        errors.append(required(f"{path}.name"))
    if not container.image:
        errors.append(required(f"{path}.image"))
    policy = container.terminationMessagePolicy
    if not policy:
        errors.append(required(f"{path}.terminationMessagePolicy"))
    else:
        errors += one_of(f"{path}.terminationMessagePolicy", policy, ("File", "FallbackToLogsOnError"))
    errors += _validate_ports(f"{path}.ports", container.ports)
    errors += validate_env(f"{path}.env", container.env)
    errors += validate_env_from(f"{path}.envFrom", container.envFrom)
    errors += _validate_mounts(f"{path}.volumeMounts", container, scene)
    errors += _validate_devices(f"{path}.volumeDevices", container.volumeDevices, container.volumeMounts, scene)
    if not container.imagePullPolicy:
        errors.append(required(f"{path}.imagePullPolicy"))
    else:
        errors += one_of(f"{path}.imagePullPolicy", container.imagePullPolicy, PULL_POLICIES)
    errors += validate_requirements(f"{path}.resources", container.resources, set(scene.claims))
    errors += _validate_resize(f"{path}.resizePolicy", container, scene.spec.restartPolicy)
    return errors + validate_security(f"{path}.securityContext", container.securityContext, host_users=scene.host_users)


def _validate_ports(path: str, ports: Sequence[ContainerPort]) -> list[FieldError]:
    errors: list[FieldError] = []
    names: set[str] = set()
    for index, port in enumerate(ports):
        here = f"{path}[{index}]"
        problems = port_name(port.name) if port.name else []
        errors += each(f"{here}.name", port.name, problems)
        if port.name in names:
            errors.append(duplicate(f"{here}.name", port.name))
        elif port.name and not problems:
            names.add(port.name)
        number = port.containerPort
        errors += each(f"{here}.containerPort", number, port_number(number)) if number else []
        if not number:
            errors.append(required(f"{here}.containerPort"))
        errors += each(f"{here}.hostPort", port.hostPort, port_number(port.hostPort) if port.hostPort else ())
        if not port.protocol:
            errors.append(required(f"{here}.protocol"))
        else:
            errors += one_of(f"{here}.protocol", port.protocol, PROTOCOLS)
    return errors


def _validate_host_ports(path: str, containers: Sequence[Container]) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, container in enumerate(containers):
        for place, port in enumerate(container.ports):
            key = f"{port.protocol}/{port.hostIP}/{port.hostPort}"
            if port.hostPort and key in seen:
                errors.append(duplicate(f"{path}[{index}].ports[{place}].hostPort", key))
            seen.add(key)
    return errors


def _validate_mounts(path: str, container: Container | EphemeralContainer, scene: Scene) -> list[FieldError]:
    errors: list[FieldError] = []
    devices = {device.name: device.devicePath for device in container.volumeDevices}
    points: set[str] = set()
    for index, mount in enumerate(container.volumeMounts):
        here = f"{path}[{index}]"
        if not mount.name:
            errors.append(required(f"{here}.name"))
        if mount.name not in scene.volumes:
            errors.append(not_found(f"{here}.name", mount.name))
        if not mount.mountPath:
            errors.append(required(f"{here}.mountPath"))
        if mount.mountPath in points:
            errors.append(invalid(f"{here}.mountPath", mount.mountPath, "must be unique"))
        points.add(mount.mountPath)
        if mount.name in devices:
            errors.append(invalid(f"{here}.name", mount.name, "must not already exist in volumeDevices"))
        if mount.mountPath in devices.values():
            detail = "must not already exist as a path in volumeDevices"
            errors.append(invalid(f"{here}.mountPath", mount.mountPath, detail))
        errors += _validate_mount_options(path, here, mount, container)
    return errors


def _validate_mount_options(
    path: str, here: str, mount: VolumeMount, container: Container | EphemeralContainer
) -> list[FieldError]:
    # Upstream gives some of these errors without the index of the mount.
    errors = descending(f"{path}.subPath", mount.subPath) if mount.subPath else []
    if mount.subPathExpr:
        if mount.subPath:
            detail = "subPathExpr and subPath are mutually exclusive"
            errors.append(invalid(f"{here}.subPathExpr", mount.subPathExpr, detail))
        errors += descending(f"{path}.subPathExpr", mount.subPathExpr)
    if mount.mountPropagation is not None:
        errors += one_of(f"{path}.mountPropagation", mount.mountPropagation, _PROPAGATIONS)
        privileged = container.securityContext is not None and container.securityContext.privileged
        if mount.mountPropagation == "Bidirectional" and not privileged:
            detail = "Bidirectional mount propagation is available only to privileged containers"
            errors.append(forbidden(f"{path}.mountPropagation", detail))
    deep = mount.recursiveReadOnly
    if deep is not None and deep not in ("Disabled", "Enabled", "IfPossible"):
        known = ("Disabled", "Enabled", "IfPossible")
        errors.append(not_supported(f"{path}.recursiveReadOnly", deep, known))
    elif deep in ("Enabled", "IfPossible"):
        if not mount.readOnly:
            errors.append(forbidden(f"{path}.recursiveReadOnly", "may only be specified when readOnly is true"))
        if mount.mountPropagation not in (None, "None"):
            detail = "may only be specified when mountPropagation is None or not specified"
            errors.append(forbidden(f"{path}.recursiveReadOnly", detail))
    return errors


def _validate_devices(
    path: str, devices: Sequence[VolumeDevice], mounts: Sequence[VolumeMount], scene: Scene
) -> list[FieldError]:
    errors: list[FieldError] = []
    mounted = {mount.name: mount.mountPath for mount in mounts}
    names: set[str] = set()
    places: set[str] = set()
    for index, device in enumerate(devices):
        here, volume = f"{path}[{index}]", scene.volumes.get(device.name)
        if not device.name:
            errors.append(required(f"{here}.name"))
        if device.name in names:
            errors.append(invalid(f"{here}.name", device.name, "must be unique"))
        if volume is None:
            errors.append(not_found(f"{here}.name", device.name))
        elif volume.persistentVolumeClaim is None and volume.ephemeral is None:
            detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            errors.append(invalid(f"{here}.name", device.name, detail))
        if not device.devicePath:
            errors.append(required(f"{here}.devicePath"))
        if device.devicePath in places:
            errors.append(invalid(f"{here}.devicePath", device.devicePath, "must be unique"))
        if no_backsteps("", device.devicePath):
            errors.append(invalid(f"{here}.devicePath", device.devicePath, "can not contain backsteps ('..')"))
        places.add(device.devicePath)
        if device.name in mounted:
            errors.append(invalid(f"{here}.name", device.name, "must not already exist in volumeMounts"))
        if device.devicePath in mounted.values():
            detail = "must not already exist as a path in volumeMounts"
            errors.append(invalid(f"{here}.devicePath", device.devicePath, detail))
        names.add(device.name)
    return errors


def _validate_resize(path: str, container: Container | EphemeralContainer, pod_policy: str) -> list[FieldError]:
    """Errors of what happens to a container whose resources change in place (KEP-1287)."""
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, policy in enumerate(container.resizePolicy):
        if policy.resourceName in seen:
            errors.append(duplicate(f"{path}[{index}]", policy.resourceName))
        seen.add(policy.resourceName)
        for value, known in (
            (policy.resourceName, ("cpu", "memory")),
            (policy.restartPolicy, ("NotRequired", "RestartContainer")),
        ):
            errors += one_of(path, value, known) if value else [required(path)]
        if pod_policy == "Never" and policy.restartPolicy != "NotRequired":
            detail = "must be 'NotRequired' when pod `restartPolicy` is 'Never'"
            errors.append(invalid(path, policy.restartPolicy, detail))
    return errors


def _validate_restart(path: str, container: Container) -> list[FieldError]:
    """Errors of when a container of its own policy is restarted (KEP-5307)."""
    policy, rules = container.restartPolicy, container.restartPolicyRules
    errors: list[FieldError] = []
    if policy is None and rules:
        detail = "must specify restartPolicy when restart rules are used"
        errors.append(required(f"{path}.restartPolicy", detail))
    elif policy is not None:
        errors += one_of(f"{path}.restartPolicy", policy, ("Always", "Never", "OnFailure"))
    path = f"{path}.restartPolicyRules"
    if len(rules) > _MOST_RULES:
        errors.append(too_many(path, len(rules), _MOST_RULES))
    for index, rule in enumerate(rules):
        here = f"{path}[{index}]"
        errors += one_of(f"{here}.action", rule.action, ("Restart", "RestartAllContainers"))
        if rule.exitCodes is None:
            errors.append(required(f"{here}.exitCodes", "must be specified"))
            continue
        errors += one_of(f"{here}.exitCodes.operator", rule.exitCodes.operator, ("In", "NotIn"))
        if len(rule.exitCodes.values) > _MOST_CODES:
            errors.append(too_many(f"{here}.exitCodes.values", len(rule.exitCodes.values), _MOST_CODES))
    return errors
