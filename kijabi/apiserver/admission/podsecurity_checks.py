"""The Pod Security Standards as checks: what a pod may not have at level baseline, and at level restricted.

Pure: `podsecurity.py` asks `evaluate` about a pod or a pod template and words the answer. A check changes with versions
of Kubernetes, so each is listed with the minor versions from which on its forms hold. Source of the rules and texts:
KEP-2579, k8s.io/pod-security-admission `policy`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import NamedTuple

from kijabi.api.core.container import Container, EphemeralContainer
from kijabi.api.core.pod import PodSpec
from kijabi.api.core.probe import LifecycleHandler, Probe
from kijabi.api.core.security import PodSecurityContext, SecurityContext, SELinuxOptions
from kijabi.api.gotext import quote

NEWEST = 37  # the last minor version that changed a check
BASELINE, RESTRICTED = "baseline", "restricted"

_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
_PROFILES = ("RuntimeDefault", "Localhost")
_CAPABILITIES = frozenset((
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
))  # fmt: skip
_SELINUX = frozenset(("", "container_t", "container_init_t", "container_kvm_t"))
_SYSCTLS = frozenset((
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
))  # fmt: skip
_SYSCTLS_27 = _SYSCTLS | {"net.ipv4.ip_local_reserved_ports"}
_SYSCTLS_29 = _SYSCTLS_27 | {
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}  # fmt: skip
_SYSCTLS_32 = _SYSCTLS_29 | {"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}
_SYSCTLS_37 = _SYSCTLS_32 | {"net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_notsent_lowat"}
_VOLUMES = (
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret",
)  # fmt: skip
_OTHER_VOLUMES = (
    "hostPath", "gcePersistentDisk", "awsElasticBlockStore", "gitRepo", "nfs", "iscsi", "glusterfs", "rbd",
    "flexVolume", "cinder", "cephfs", "flocker", "fc", "azureFile", "vsphereVolume", "quobyte", "azureDisk",
    "photonPersistentDisk", "portworxVolume", "scaleIO", "storageos",
)  # fmt: skip


class Violation(NamedTuple):
    """What is wrong: `reason` in two words, `detail` with the names of containers and values."""

    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


Annotations = Mapping[str, str]
Check = Callable[[Annotations, PodSpec], Violation | None]
Some = Container | EphemeralContainer


class Form(NamedTuple):
    """A check as it is from one minor version on; `replaces`: checks of level baseline that it stands for."""

    since: int
    check: Check
    replaces: tuple[str, ...] = ()


def containers(spec: PodSpec) -> Iterator[Some]:
    """All containers of a pod, those that start first in front."""
    yield from spec.initContainers
    yield from spec.containers
    yield from spec.ephemeralContainers


def _join(items: Iterable[str]) -> str:
    return ", ".join(f'"{item}"' for item in items)


def _plural(one: str, many: str, items: Iterable[str]) -> str:
    return one if len(tuple(items)) == 1 else many


def _named(bad: list[str]) -> str:
    """`container "a"`, or `containers "a", "b"`."""
    return f"{_plural('container', 'containers', bad)} {_join(bad)}"


def _setters(pod: bool, bad: list[str]) -> list[str]:
    """Who set something: the pod, and the containers."""
    return (["pod"] if pod else []) + ([_named(bad)] if bad else [])


def _contexts(spec: PodSpec) -> Iterator[tuple[str, SecurityContext]]:
    """The containers that have a security context, by name."""
    for each in containers(spec):
        if each.securityContext is not None:
            yield each.name, each.securityContext


def _windows(spec: PodSpec) -> bool:
    return spec.os is not None and spec.os.name == "windows"


def _own_users(spec: PodSpec) -> bool:
    """The pod has a user namespace: root in it is nobody outside."""
    return spec.hostUsers is False


def _not_on_windows(check: Check) -> Check:
    return lambda annotations, spec: None if _windows(spec) else check(annotations, spec)


def _not_with_own_users(check: Check) -> Check:
    return lambda annotations, spec: None if _own_users(spec) else check(annotations, spec)


# Level baseline


def apparmor(annotations: Annotations, spec: PodSpec) -> Violation | None:
    """AppArmor may not be switched off, by field or by annotation."""
    own = spec.securityContext
    values: set[str] = set()
    pod = own is not None and own.appArmorProfile is not None and own.appArmorProfile.type not in _PROFILES
    if pod and own is not None and own.appArmorProfile is not None:
        values.add(own.appArmorProfile.type)
    bad = []
    for name, context in _contexts(spec):
        if context.appArmorProfile is not None and context.appArmorProfile.type not in _PROFILES:
            bad.append(name)
            values.add(context.appArmorProfile.type)
    setters = _setters(pod, bad)
    marks = sorted(
        f"{key}={quote(value)}"
        for key, value in annotations.items()
        if key.startswith(_APPARMOR) and value not in ("", "runtime/default") and not value.startswith("localhost/")
    )
    if marks:
        setters.append(_plural("annotation", "annotations", marks))
    if not setters:
        return None
    shown = [*sorted(values), *marks]
    reason = _plural("forbidden AppArmor profile", "forbidden AppArmor profiles", shown)
    return Violation(reason, f"{' and '.join(setters)} must not set AppArmor profile type to {_join(shown)}")


def capabilities_baseline(_: Annotations, spec: PodSpec) -> Violation | None:
    """No capability that containers do not have anyway may be added."""
    bad, added = [], set()
    for name, context in _contexts(spec):
        more = set(context.capabilities.add) - _CAPABILITIES if context.capabilities is not None else set()
        if more:
            bad.append(name)
            added |= more
    if not bad:
        return None
    text = f"{_named(bad)} must not include {_join(sorted(added))} in securityContext.capabilities.add"
    return Violation("non-default capabilities", text)


def host_namespaces(_: Annotations, spec: PodSpec) -> Violation | None:
    """Network, processes and IPC of the node are not shared."""
    bad = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if getattr(spec, name)]
    return Violation("host namespaces", ", ".join(bad)) if bad else None


def host_paths(_: Annotations, spec: PodSpec) -> Violation | None:
    """No directory of the node is mounted."""
    bad = [volume.name for volume in spec.volumes if volume.hostPath is not None]
    return Violation("hostPath volumes", f"{_plural('volume', 'volumes', bad)} {_join(bad)}") if bad else None


def host_ports(_: Annotations, spec: PodSpec) -> Violation | None:
    """No port of the node is taken."""
    bad, ports = [], set()
    for each in containers(spec):
        taken = {str(port.hostPort) for port in each.ports if port.hostPort}
        if taken:
            bad.append(each.name)
            ports |= taken
    if not bad:
        return None
    what = f"{_plural('hostPort', 'hostPorts', ports)} {', '.join(sorted(ports))}"
    return Violation("hostPort", f"{_named(bad)} {_plural('uses', 'use', bad)} {what}")


def probe_hosts(_: Annotations, spec: PodSpec) -> Violation | None:
    """The kubelet does not knock at other hosts on a pod's behalf."""
    bad, hosts = set(), set()
    for each in containers(spec):
        handlers: list[Probe | LifecycleHandler | None] = [each.livenessProbe, each.readinessProbe, each.startupProbe]
        if each.lifecycle is not None:
            handlers += [each.lifecycle.postStart, each.lifecycle.preStop]
        actions = [a for h in handlers if h is not None for a in (h.httpGet, h.tcpSocket) if a is not None]
        found = {action.host for action in actions if action.host}
        if found:
            bad.add(each.name)
            hosts |= found
    if not bad:
        return None
    what = _plural("probe or lifecycle host", "probe or lifecycle hosts", hosts)
    text = f"{_named(sorted(bad))} {_plural('uses', 'use', bad)} {what} {_join(sorted(hosts))}"
    return Violation("probe or lifecycle host", text)


def privileged(_: Annotations, spec: PodSpec) -> Violation | None:
    """No container has all rights."""
    bad = [name for name, context in _contexts(spec) if context.privileged]
    return Violation("privileged", f"{_named(bad)} must not set securityContext.privileged=true") if bad else None


def proc_mount(_: Annotations, spec: PodSpec) -> Violation | None:
    """/proc stays masked."""
    found = [(name, each.procMount) for name, each in _contexts(spec) if each.procMount not in (None, "Default")]
    if not found:
        return None
    kinds = _join(sorted({kind or "" for _, kind in found}))
    return Violation("procMount", f"{_named([n for n, _ in found])} must not set securityContext.procMount to {kinds}")


def selinux(allowed: frozenset[str]) -> Check:
    """Only types that confine containers, and no other user or role."""

    def check(_: Annotations, spec: PodSpec) -> Violation | None:
        own = spec.securityContext
        found = [(name, context.seLinuxOptions) for name, context in _contexts(spec)]
        bad = [(name, options) for name, options in found if options is not None and wrong(options)]
        pod = own.seLinuxOptions if own is not None and own.seLinuxOptions is not None else None
        setters = _setters(pod is not None and wrong(pod), [name for name, _ in bad])
        if not setters:
            return None
        seen = [options for _, options in bad] + ([pod] if pod is not None else [])
        types = sorted({options.type for options in seen} - allowed)
        data = [f"{_plural('type', 'types', types)} {_join(types)}"] if types else []
        data += ["user may not be set"] if any(options.user for options in seen) else []
        data += ["role may not be set"] if any(options.role for options in seen) else []
        text = f"{' and '.join(setters)} set forbidden securityContext.seLinuxOptions: {'; '.join(data)}"
        return Violation("seLinuxOptions", text)

    def wrong(options: SELinuxOptions) -> bool:
        return options.type not in allowed or bool(options.user or options.role)

    return check


def seccomp_annotations(annotations: Annotations, spec: PodSpec) -> Violation | None:
    """Before there were fields: the annotations name the default profile or one of the node's."""
    keys = [_SECCOMP_POD, *(_SECCOMP_CONTAINER + each.name for each in containers(spec))]
    bad = sorted({
        f"{key}={quote(annotations[key])}"
        for key in keys
        if key in annotations
        and annotations[key] not in ("runtime/default", "docker/default")
        and not annotations[key].startswith("localhost/")
    })  # fmt: skip
    if not bad:
        return None
    return Violation("seccompProfile", f"forbidden {_plural('annotation', 'annotations', bad)} {', '.join(bad)}")


def _seccomp_wrong(spec: PodSpec) -> tuple[list[str], list[str]]:
    """(who sets a forbidden profile, which ones)."""
    own: PodSecurityContext | None = spec.securityContext
    pod = own.seccompProfile if own is not None else None
    found = [(name, context.seccompProfile) for name, context in _contexts(spec)]
    bad = [(name, profile.type) for name, profile in found if profile is not None and profile.type not in _PROFILES]
    values = {kind for _, kind in bad}
    wrong = pod is not None and pod.type not in _PROFILES
    if wrong and pod is not None:
        values.add(pod.type)
    return _setters(wrong, [name for name, _ in bad]), sorted(values)


def seccomp_baseline(_: Annotations, spec: PodSpec) -> Violation | None:
    """System calls are filtered, where anything is said about it."""
    setters, values = _seccomp_wrong(spec)
    if not setters:
        return None
    text = f"{' and '.join(setters)} must not set securityContext.seccompProfile.type to {_join(values)}"
    return Violation("seccompProfile", text)


def sysctls(allowed: frozenset[str]) -> Check:
    """Only kernel parameters that stay in the pod."""

    def check(_: Annotations, spec: PodSpec) -> Violation | None:
        own = spec.securityContext
        bad = [each.name for each in own.sysctls if each.name not in allowed] if own is not None else []
        return Violation("forbidden sysctls", ", ".join(bad)) if bad else None

    return check


def windows_host_process(_: Annotations, spec: PodSpec) -> Violation | None:
    """No container is a process of a Windows host."""
    own = spec.securityContext
    pod = own is not None and own.windowsOptions is not None and bool(own.windowsOptions.hostProcess)
    bad = [name for name, c in _contexts(spec) if c.windowsOptions is not None and c.windowsOptions.hostProcess]
    setters = " and ".join(_setters(pod, bad))
    if not setters:
        return None
    return Violation("hostProcess", f"{setters} must not set securityContext.windowsOptions.hostProcess=true")


# Level restricted


def privilege_escalation(_: Annotations, spec: PodSpec) -> Violation | None:
    """No program in a container gains rights that its parent does not have."""
    said = {name: context.allowPrivilegeEscalation for name, context in _contexts(spec)}
    bad = [each.name for each in containers(spec) if said.get(each.name) is not False]
    if not bad:
        return None
    text = f"{_named(bad)} must set securityContext.allowPrivilegeEscalation=false"
    return Violation("allowPrivilegeEscalation != false", text)


def capabilities_restricted(_: Annotations, spec: PodSpec) -> Violation | None:
    """All capabilities are dropped; that for ports below 1024 may be added."""
    keeping, adding, added = [], [], set()
    for each in containers(spec):
        own = each.securityContext.capabilities if each.securityContext is not None else None
        if own is None or "ALL" not in own.drop:
            keeping.append(each.name)
        more = set(own.add) - {"NET_BIND_SERVICE"} if own is not None else set()
        if more:
            adding.append(each.name)
            added |= more
    details = [f'{_named(keeping)} must set securityContext.capabilities.drop=["ALL"]'] if keeping else []
    if adding:
        text = f"{_named(adding)} must not include {_join(sorted(added))} in securityContext.capabilities.add"
        details.append(text)
    return Violation("unrestricted capabilities", "; ".join(details)) if details else None


def restricted_volumes(_: Annotations, spec: PodSpec) -> Violation | None:
    """Only volumes whose content comes from the cluster."""
    bad = [volume for volume in spec.volumes if all(getattr(volume, name) is None for name in _VOLUMES)]
    if not bad:
        return None
    names = [volume.name for volume in bad]
    known = (next((name for name in _OTHER_VOLUMES if getattr(v, name, None) is not None), "unknown") for v in bad)
    types = sorted(set(known))
    what = f"{_plural('restricted volume type', 'restricted volume types', types)} {_join(types)}"
    text = f"{_plural('volume', 'volumes', names)} {_join(names)} {_plural('uses', 'use', names)} {what}"
    return Violation("restricted volume types", text)


def run_as_non_root(_: Annotations, spec: PodSpec) -> Violation | None:
    """Every container says, or its pod does, that it is not to be root."""
    own = spec.securityContext
    by_pod = own.runAsNonRoot if own is not None else None
    said = {name: each.runAsNonRoot for name, each in _contexts(spec)}
    setters = _setters(by_pod is False, [each.name for each in containers(spec) if said.get(each.name) is False])
    if setters:
        text = f"{' and '.join(setters)} must not set securityContext.runAsNonRoot=false"
        return Violation("runAsNonRoot != true", text)
    silent = [each.name for each in containers(spec) if said.get(each.name) is None] if not by_pod else []
    if not silent:
        return None
    return Violation("runAsNonRoot != true", f"pod or {_named(silent)} must set securityContext.runAsNonRoot=true")


def run_as_user(_: Annotations, spec: PodSpec) -> Violation | None:
    """Nobody asks to be user 0."""
    own = spec.securityContext
    bad = [name for name, context in _contexts(spec) if context.runAsUser == 0]
    setters = _setters(own is not None and own.runAsUser == 0, bad)
    return Violation("runAsUser=0", f"{' and '.join(setters)} must not set runAsUser=0") if setters else None


def seccomp_restricted(annotations: Annotations, spec: PodSpec) -> Violation | None:
    """System calls are filtered, and the pod or each container says so."""
    wrong = seccomp_baseline(annotations, spec)
    own = spec.securityContext
    if wrong is not None or (own is not None and own.seccompProfile is not None):
        return wrong
    said = {name for name, context in _contexts(spec) if context.seccompProfile is not None}
    silent = [each.name for each in containers(spec) if each.name not in said]
    if not silent:
        return None
    text = f'pod or {_named(silent)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return Violation("seccompProfile", text)


# In the order in which upstream reports: by name within a level.
CHECKS: Mapping[str, Mapping[str, tuple[Form, ...]]] = {
    BASELINE: {
        "appArmorProfile": (Form(0, apparmor),),
        "capabilities_baseline": (Form(0, capabilities_baseline),),
        "hostNamespaces": (Form(0, host_namespaces),),
        "hostPathVolumes": (Form(0, host_paths),),
        "hostPorts": (Form(0, host_ports),),
        "hostProbesAndHostLifecycle": (Form(34, probe_hosts),),
        "privileged": (Form(0, privileged),),
        "procMount": (Form(0, proc_mount), Form(35, _not_with_own_users(proc_mount))),
        "seLinuxOptions": (Form(0, selinux(_SELINUX)), Form(31, selinux(_SELINUX | {"container_engine_t"}))),
        "seccompProfile_baseline": (Form(0, seccomp_annotations), Form(19, seccomp_baseline)),
        "sysctls": (
            Form(0, sysctls(_SYSCTLS)),
            Form(27, sysctls(_SYSCTLS_27)),
            Form(29, sysctls(_SYSCTLS_29)),
            Form(32, sysctls(_SYSCTLS_32)),
            Form(37, sysctls(_SYSCTLS_37)),
        ),
        "windowsHostProcess": (Form(0, windows_host_process),),
    },
    RESTRICTED: {
        "allowPrivilegeEscalation": (Form(8, privilege_escalation), Form(25, _not_on_windows(privilege_escalation))),
        "capabilities_restricted": (
            Form(22, capabilities_restricted, ("capabilities_baseline",)),
            Form(25, _not_on_windows(capabilities_restricted), ("capabilities_baseline",)),
        ),
        "procMount_restricted": (Form(35, proc_mount, ("procMount",)),),
        "restrictedVolumes": (Form(0, restricted_volumes, ("hostPathVolumes",)),),
        "runAsNonRoot": (Form(0, run_as_non_root), Form(35, _not_with_own_users(run_as_non_root))),
        "runAsUser": (Form(23, run_as_user), Form(35, _not_with_own_users(run_as_user))),
        "seccompProfile_restricted": (
            Form(19, seccomp_restricted, ("seccompProfile_baseline",)),
            Form(25, _not_on_windows(seccomp_restricted), ("seccompProfile_baseline",)),
        ),
    },
}


@cache
def checks(level: str, minor: int) -> tuple[Check, ...]:
    """The checks of a level as of a minor version; none for `privileged`."""
    found = {lv: {name: _form(forms, minor) for name, forms in CHECKS[lv].items()} for lv in CHECKS}
    if level == BASELINE:
        return tuple(form.check for form in found[BASELINE].values() if form is not None)
    if level != RESTRICTED:
        return ()
    replaced = {name for form in found[RESTRICTED].values() if form is not None for name in form.replaces}
    kept = [form for name, form in found[BASELINE].items() if name not in replaced]
    return tuple(form.check for form in (*kept, *found[RESTRICTED].values()) if form is not None)


def _form(forms: tuple[Form, ...], minor: int) -> Form | None:
    return next((form for form in reversed(forms) if form.since <= minor), None)


def evaluate(level: str, minor: int | None, annotations: Annotations, spec: PodSpec) -> list[Violation]:
    """What of a level the pod breaks. minor: of the version v1.x whose rules hold; None for the latest."""
    asked = NEWEST if minor is None else min(minor, NEWEST)
    results = (check(annotations, spec) for check in checks(level, asked))
    return [each for each in results if each is not None]
