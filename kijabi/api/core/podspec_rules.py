"""What a pod may be asked to be, in a Pod or in a template that others make pods from.

`pod_rules.py` and the kinds with a template call `validate_spec` and `validate_template`. Texts and order are those
of k8s.io/kubernetes `pkg/apis/core/validation`.
"""

from __future__ import annotations

from re import compile as regex
from typing import TYPE_CHECKING

from kijabi.api.core.affinity_rules import validate_affinity, validate_spread, validate_tolerations
from kijabi.api.core.container_rules import (
    Scene,
    validate_containers,
    validate_ephemeral_containers,
    validate_init_containers,
)
from kijabi.api.core.resources_rules import validate_container_name, validate_pod_name, validate_requirements
from kijabi.api.core.security_rules import validate_pod as validate_security
from kijabi.api.core.volume_rules import validate_volumes
from kijabi.api.formats import dns_label, dns_subdomain, in_range, qualified_name, regex_problem, size
from kijabi.api.resource import FieldError
from kijabi.api.validation import (
    duplicate,
    each,
    forbidden,
    invalid,
    ip_legacy,
    not_found,
    one_of,
    required,
    too_long,
    validate_annotations,
    validate_labels,
)

if TYPE_CHECKING:
    from kijabi.api.core.pod import PodSpec
    from kijabi.api.core.podtemplate import PodTemplateSpec
    from kijabi.api.quantity import Quantity

MOST_NAMESERVERS, MOST_SEARCHES, LONGEST_SEARCH_LIST = 3, 32, 2048
_LONGEST_HOSTNAME = 64
_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_MIRROR = "kubernetes.io/config.mirror"
_UNDERSCORED = r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*"
_SEARCH = regex(_UNDERSCORED)


def validate_template(path: str, template: PodTemplateSpec) -> list[FieldError]:
    """Errors of a pod template."""
    own, spec = template.metadata, template.spec
    errors = validate_labels(own.labels, f"{path}.labels")
    errors += validate_annotations(own.annotations, f"{path}.annotations")
    errors += validate_pod_annotations(f"{path}.annotations", own.annotations, spec)
    errors += validate_spec(f"{path}.spec", spec)
    if spec.ephemeralContainers:
        detail = "ephemeral containers not allowed in pod template"
        errors.append(forbidden(f"{path}.spec.ephemeralContainers", detail))
    return errors


def validate_pod_annotations(path: str, annotations: dict[str, str], spec: PodSpec) -> list[FieldError]:
    """Errors of annotations that the system reads."""
    errors: list[FieldError] = []
    if _MIRROR in annotations and not spec.nodeName:
        detail = "must set spec.nodeName if mirror pod annotation is set"
        errors.append(invalid(f"{path}[{_MIRROR}]", annotations[_MIRROR], detail))
    cost = annotations.get(_DELETION_COST, "0")
    if not _is_int32(cost):
        errors.append(invalid(f"{path}[{_DELETION_COST}]", cost, "must be a 32bit integer"))
    return errors


def _is_int32(text: str) -> bool:
    digits = text.removeprefix("-") if text.startswith("-") else text
    plain = digits.isascii() and digits.isdigit() and len(digits) <= 10 and (digits == "0" or digits[0] != "0")
    return plain and -(2**31) <= int(text) < 2**31


def validate_spec(path: str, spec: PodSpec, pod: str = "", *, is_pod: bool = False) -> list[FieldError]:
    """Errors of a pod's spec; pod: its name where it has one, is_pod: it is not of a template."""
    errors: list[FieldError] = []
    if spec.terminationGracePeriodSeconds is None:
        errors.append(required(f"{path}.terminationGracePeriodSeconds"))
    volumes, problems = validate_volumes(f"{path}.volumes", spec.volumes, pod)
    errors += problems
    scene = Scene(spec, volumes, frozenset(claim.name for claim in spec.resourceClaims if claim.name))
    errors += _validate_claims(f"{path}.resourceClaims", spec)
    errors += validate_containers(f"{path}.containers", scene)
    errors += validate_init_containers(f"{path}.initContainers", scene)
    errors += validate_ephemeral_containers(f"{path}.ephemeralContainers", scene)
    errors += _validate_resources(f"{path}.resources", spec)
    errors += _validate_host_network(path, spec, is_pod)
    errors += _validate_policies(path, spec)
    errors += validate_labels(spec.nodeSelector, f"{path}.nodeSelector")
    errors += validate_security(f"{path}.securityContext", spec.securityContext, spec)
    if spec.shareProcessNamespace and spec.hostPID:
        detail = "ShareProcessNamespace and HostPID cannot both be enabled"
        errors.append(invalid(f"{path}.shareProcessNamespace", True, detail))
    errors += validate_affinity(f"{path}.affinity", spec.affinity)
    errors += _validate_dns(f"{path}.dnsConfig", spec)
    errors += _validate_gates(path, spec)
    errors += validate_spread(f"{path}.topologySpreadConstraints", spec.topologySpreadConstraints)
    errors += _validate_host_users(path, spec)
    errors += _validate_names(path, spec)
    errors += validate_tolerations(f"{path}.tolerations", spec.tolerations)
    errors += _validate_rest(path, spec)
    return errors + _validate_file_variables(path, spec)


def validate_preemption(path: str, policy: str) -> list[FieldError]:
    """Errors of whether pods of a priority may push others out."""
    return one_of(path, policy, ("PreemptLowerPriority", "Never")) if policy else [required(path)]


def _validate_policies(path: str, spec: PodSpec) -> list[FieldError]:
    errors: list[FieldError] = []
    for name, known in (
        ("restartPolicy", ("Always", "OnFailure", "Never")),
        ("dnsPolicy", ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")),
    ):
        value = getattr(spec, name)
        errors += one_of(f"{path}.{name}", value, known) if value else [required(f"{path}.{name}")]
    return errors


def _validate_host_network(path: str, spec: PodSpec, is_pod: bool) -> list[FieldError]:
    detail = "must match `containerPort` when `hostNetwork` is true"
    return [
        invalid(f"{path}.containers[{index}].ports[{place}].hostPort", port.hostPort, detail)
        for index, container in enumerate(spec.containers if spec.hostNetwork else ())
        for place, port in enumerate(container.ports)
        if (is_pod or port.hostPort) and port.hostPort != port.containerPort
    ]


def _validate_claims(path: str, spec: PodSpec) -> list[FieldError]:
    errors: list[FieldError] = []
    names: set[str] = set()
    for index, claim in enumerate(spec.resourceClaims):
        here = f"{path}[{index}]"
        if not claim.name:
            errors.append(required(f"{here}.name"))
        elif claim.name in names:
            errors.append(duplicate(f"{here}.name", claim.name))
        else:
            errors += each(f"{here}.name", claim.name, dns_label(claim.name))
            names.add(claim.name)
        either = "`resourceClaimName`{} `resourceClaimTemplateName`"
        if claim.resourceClaimName is not None and claim.resourceClaimTemplateName is not None:
            errors.append(invalid(here, claim, f"at most one of {either.format(' or')} may be specified"))
        if claim.resourceClaimName is None and claim.resourceClaimTemplateName is None:
            errors.append(invalid(here, claim, f"must specify one of: {either.format(',')}"))
        for name in ("resourceClaimName", "resourceClaimTemplateName"):
            value = getattr(claim, name)
            errors += each(f"{here}.{name}", value, dns_subdomain(value) if value is not None else ())
    return errors


def _validate_resources(path: str, spec: PodSpec) -> list[FieldError]:
    """Errors of what the pod as a whole asks for (KEP-2837)."""
    if spec.resources is None:
        return []
    errors: list[FieldError] = []
    if spec.resources.claims:
        errors.append(forbidden(f"{path}.claims", "claims may not be set for Resources at pod-level"))
    errors += validate_requirements(path, spec.resources, (), validate_pod_name)
    for name, asked in container_requests(spec).items():
        given = spec.resources.requests.get(name)
        if given is not None and asked.cmp(given) > 0:
            detail = f"must be greater than or equal to aggregate container requests of {asked}"
            errors.append(invalid(f"{path}.requests[{name}]", str(given), detail))
    for index, container in enumerate(spec.containers):
        for name, limit in container.resources.limits.items():
            whole = spec.resources.limits.get(name)
            if whole is not None and limit.cmp(whole) > 0:
                detail = f"must be less than or equal to pod limits of {whole}"
                errors.append(invalid(f"{path}.containers[{index}][{name}].limits", str(limit), detail))
    return errors


def container_requests(spec: PodSpec) -> dict[str, Quantity]:
    """What the containers ask for together: init containers one by one, beside the sidecars before them (KEP-753)."""
    total: dict[str, Quantity] = {}
    beside: dict[str, Quantity] = {}
    peak: dict[str, Quantity] = {}
    for container in spec.initContainers:
        mine = dict(beside)
        _add(mine, container.resources.requests)
        for name, amount in mine.items():
            if name not in peak or amount.cmp(peak[name]) > 0:
                peak[name] = amount
        if container.restartPolicy == "Always":
            beside = mine
    _add(total, beside)
    for plain in spec.containers:
        _add(total, plain.resources.requests)
    for name, amount in peak.items():
        if name not in total or amount.cmp(total[name]) > 0:
            total[name] = amount
    return total


def _add(total: dict[str, Quantity], more: dict[str, Quantity]) -> None:
    for name, amount in more.items():
        total[name] = total[name].plus(amount) if name in total else amount


def _validate_dns(path: str, spec: PodSpec) -> list[FieldError]:
    config = spec.dnsConfig
    if spec.dnsPolicy == "None" and config is None:
        return [required(path, "must provide `dnsConfig` when `dnsPolicy` is None")]
    if config is None:
        return []
    if spec.dnsPolicy == "None" and not config.nameservers:
        detail = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        return [required(f"{path}.nameservers", detail)]
    errors: list[FieldError] = []
    if len(config.nameservers) > MOST_NAMESERVERS:
        detail = f"must not have more than {MOST_NAMESERVERS} nameservers"
        errors.append(invalid(f"{path}.nameservers", config.nameservers, detail))
    for index, server in enumerate(config.nameservers):
        errors += ip_legacy(f"{path}.nameservers[{index}]", server)
    if len(config.searches) > MOST_SEARCHES:
        detail = f"must not have more than {MOST_SEARCHES} search paths"
        errors.append(invalid(f"{path}.searches", config.searches, detail))
    if size(" ".join(config.searches)) > LONGEST_SEARCH_LIST:
        detail = f"must not have more than {LONGEST_SEARCH_LIST} characters (including spaces) in the search list"
        errors.append(invalid(f"{path}.searches", config.searches, detail))
    for index, search in enumerate(config.searches):
        if search != ".":
            plain = search.removesuffix(".")
            errors += each(f"{path}.searches[{index}]", plain, _search_problems(plain))
    for index, option in enumerate(config.options):
        if not option.name:
            errors.append(required(f"{path}.options[{index}]", "must not be empty"))
    return errors


def _search_problems(text: str) -> list[str]:
    problems = ["must be no more than 253 characters"] if size(text) > 253 else []
    if not _SEARCH.fullmatch(text):
        message = (
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and "
            "must start and end with an alphanumeric character"
        )
        problems.append(regex_problem(message, _UNDERSCORED, "example.com"))
    return problems


def _validate_gates(path: str, spec: PodSpec) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, gate in enumerate(spec.readinessGates):
        here = f"{path}.readinessGates[{index}].conditionType"
        errors += each(here, gate.conditionType, qualified_name(gate.conditionType))
    seen: set[str] = set()
    for index, waiting in enumerate(spec.schedulingGates):
        here = f"{path}.schedulingGates[{index}]"
        errors += each(here, waiting.name, qualified_name(waiting.name))
        if waiting.name in seen:
            errors.append(duplicate(here, waiting.name))
        seen.add(waiting.name)
    return errors


def _validate_host_users(path: str, spec: PodSpec) -> list[FieldError]:
    if spec.hostUsers is not False:
        return []
    given = (("hostNetwork", spec.hostNetwork), ("HostPID", spec.hostPID), ("HostIPC", spec.hostIPC))
    return [forbidden(f"{path}.{name}", "when `hostUsers` is false") for name, value in given if value]


def _validate_names(path: str, spec: PodSpec) -> list[FieldError]:
    errors: list[FieldError] = []
    override, here = spec.hostnameOverride, f"{path}.hostnameOverride"
    if override is not None:
        if spec.setHostnameAsFQDN:
            errors.append(forbidden(here, "may not be specified when setHostnameAsFQDN is true"))
        if spec.hostNetwork:
            errors.append(forbidden(here, "may not be specified when hostNetwork is true"))
        if size(override) > _LONGEST_HOSTNAME:
            errors.append(too_long(here, _LONGEST_HOSTNAME))
        errors += each(here, override, dns_subdomain(override))
    account = spec.serviceAccountName
    errors += each(f"{path}.serviceAccountName", account, dns_subdomain(account) if account else ())
    if spec.serviceAccount != account:
        detail = f'must be the same as serviceAccountName: "{account}"'
        errors.append(invalid(f"{path}.deprecatedServiceAccount", spec.serviceAccount, detail))
    errors += each(f"{path}.nodeName", spec.nodeName, dns_subdomain(spec.nodeName) if spec.nodeName else ())
    deadline = spec.activeDeadlineSeconds
    if deadline is not None:
        errors += each(f"{path}.activeDeadlineSeconds", deadline, in_range(deadline, 1, 2**31 - 1))
    for name in ("hostname", "subdomain"):
        value = getattr(spec, name)
        errors += each(f"{path}.{name}", value, dns_label(value) if value else ())
    return errors


def _validate_rest(path: str, spec: PodSpec) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, alias in enumerate(spec.hostAliases):
        errors += ip_legacy(f"{path}.hostAliases[{index}].ip", alias.ip)
        for place, name in enumerate(alias.hostnames):
            errors += each(f"{path}.hostAliases[{index}].hostnames[{place}]", name, dns_subdomain(name))
    if spec.priorityClassName:
        errors += each(f"{path}.priorityClassName", spec.priorityClassName, dns_subdomain(spec.priorityClassName))
    if spec.runtimeClassName is not None:
        errors += each(f"{path}.runtimeClassName", spec.runtimeClassName, dns_subdomain(spec.runtimeClassName))
    if spec.preemptionPolicy is not None:
        errors += validate_preemption(f"{path}.preemptionPolicy", spec.preemptionPolicy)
    for name in spec.overhead:
        errors += validate_container_name(f"{path}.overhead.limits[{name}]", name)
    if spec.os is not None:
        if not spec.os.name:
            errors.append(required(f"{path}.os.name"))
        else:
            errors += one_of(f"{path}.os", spec.os.name, ("linux", "windows"))
    if (group := spec.schedulingGroup) is not None:
        here = f"{path}.schedulingGroup.podGroupName"
        if group.podGroupName is None:
            errors.append(invalid(here, None, "must specify one of: `podGroupName`"))
        else:
            errors += each(here, group.podGroupName, dns_subdomain(group.podGroupName))
    return errors


def _validate_file_variables(path: str, spec: PodSpec) -> list[FieldError]:
    """Errors of variables that are read from a file: it must lie in an empty directory (KEP-3721)."""
    errors: list[FieldError] = []
    empty = {volume.name: volume.emptyDir is not None for volume in spec.volumes}
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(getattr(spec, kind)):
            for place, variable in enumerate(container.env):
                file = variable.valueFrom.fileKeyRef if variable.valueFrom else None
                if file is None:
                    continue
                here = f"{path}.{kind}[{index}].env[{place}].valueFrom.fileKeyRef.volumeName"
                if file.volumeName not in empty:
                    errors.append(not_found(here, file.volumeName))
                elif not empty[file.volumeName]:
                    errors.append(invalid(here, file.volumeName, "referenced volume must be of type emptyDir"))
    return errors
