"""A container's environment: its own variables, those of ConfigMaps and Secrets, and those of Services.

Pure, called by `configs.py` with the objects that `references.py` holds. Order and precedence follow the API:
envFrom, then env over it, then service variables that nothing else sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.container import Container
from kijabi.api.core.env import EnvVar, EnvVarSource
from kijabi.api.core.pod import Pod
from kijabi.api.core.secret import Secret
from kijabi.api.core.service import Service
from kijabi.kubelet import downward
from kijabi.kubelet.downward import Facts
from kijabi.kubelet.problems import ConfigProblem

# Gives the object of that name in the pod's namespace, or None if there is none.
ConfigMaps = Callable[[str], ConfigMap | None]
Secrets = Callable[[str], Secret | None]


def environment(
    pod: Pod,
    container: Container,
    services: Mapping[str, str],
    configmaps: ConfigMaps,
    secrets: Secrets,
    facts: Facts,
) -> dict[str, str]:
    """All variables of a container. services: what `service_variables` gave for the pod's namespace.

    Raises ConfigProblem where something that is not optional is missing.
    """
    values: dict[str, str] = {}
    for source in container.envFrom:
        if source.configMapRef is not None:
            found = _configmap(configmaps, pod, source.configMapRef.name, bool(source.configMapRef.optional))
            data = dict(found.data or {}) if found is not None else {}
        elif source.secretRef is not None:
            secret = _secret(secrets, pod, source.secretRef.name, bool(source.secretRef.optional))
            data = _texts(secret)
        else:
            continue
        values |= {source.prefix + key: value for key, value in data.items()}
    for variable in container.env:
        value = _value(variable, pod, container, _Chain(values, services), configmaps, secrets, facts)
        if value is not None:
            values[variable.name] = value
    return {**{k: v for k, v in services.items() if k not in values}, **values}


class _Chain(Mapping[str, str]):
    """Own variables first, then those of services; a live view, since later variables may use earlier ones."""

    def __init__(self, first: Mapping[str, str], second: Mapping[str, str]) -> None:
        self._first, self._second = first, second

    def __getitem__(self, key: str) -> str:
        return self._first[key] if key in self._first else self._second[key]

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter({**self._second, **self._first})

    def __len__(self) -> int:
        return len({**self._second, **self._first})


def _value(
    variable: EnvVar,
    pod: Pod,
    container: Container,
    known: Mapping[str, str],
    configmaps: ConfigMaps,
    secrets: Secrets,
    facts: Facts,
) -> str | None:
    """The value of one variable; None to leave it out because its optional source is missing."""
    source = variable.valueFrom
    if variable.value or source is None:
        return expand(variable.value, known)
    if source.fieldRef is not None:
        return downward.field(source.fieldRef, pod, facts)
    if source.resourceFieldRef is not None:
        return downward.resource(source.resourceFieldRef, pod, container, facts)
    return _keyed(source, pod, configmaps, secrets)


def _keyed(source: EnvVarSource, pod: Pod, configmaps: ConfigMaps, secrets: Secrets) -> str | None:
    namespace = pod.metadata.namespace
    if (ref := source.configMapKeyRef) is not None:
        optional = bool(ref.optional)
        found = _configmap(configmaps, pod, ref.name, optional)
        if found is not None and ref.key in (found.data or {}):
            return (found.data or {})[ref.key]
        if optional:
            return None
        raise ConfigProblem(f"couldn't find key {ref.key} in ConfigMap {namespace}/{ref.name}")
    if (key := source.secretKeyRef) is not None:
        optional = bool(key.optional)
        secret = _secret(secrets, pod, key.name, optional)
        texts = _texts(secret)
        if key.key in texts:
            return texts[key.key]
        if optional:
            return None
        raise ConfigProblem(f"couldn't find key {key.key} in Secret {namespace}/{key.name}")
    if source.fileKeyRef is not None and source.fileKeyRef.optional:
        return None
    raise ConfigProblem("environment variables from files (fileKeyRef) are not supported by this node")


def _configmap(configmaps: ConfigMaps, pod: Pod, name: str, optional: bool) -> ConfigMap | None:
    found = configmaps(name)
    if found is None and not optional:
        raise ConfigProblem(f'configmap "{name}" not found')
    return found


def _secret(secrets: Secrets, pod: Pod, name: str, optional: bool) -> Secret | None:
    found = secrets(name)
    if found is None and not optional:
        raise ConfigProblem(f'secret "{name}" not found')
    return found


def _texts(secret: Secret | None) -> dict[str, str]:
    if secret is None:
        return {}
    return {key: value.decode("utf-8", "surrogateescape") for key, value in (secret.data or {}).items()}


def expand(text: str, known: Mapping[str, str]) -> str:
    """Replace `$(NAME)`; `$$` is a dollar sign, and a reference to nothing stays as it is written."""
    if "$" not in text:
        return text
    out: list[str] = []
    at = 0
    while (dollar := text.find("$", at)) >= 0 and dollar + 1 < len(text):
        out.append(text[at:dollar])
        following = text[dollar + 1]
        end = text.find(")", dollar + 2) if following == "(" else -1
        if following == "$":
            out.append("$")
            at = dollar + 2
        elif end >= 0:
            name = text[dollar + 2 : end]
            out.append(known.get(name, f"$({name})"))
            at = end + 1
        else:
            out.append("$" + following)
            at = dollar + 2
    out.append(text[at:])
    return "".join(out)


def service_variables(services: Iterable[Service], namespace: str, links: bool) -> dict[str, str]:
    """The variables that tell of Services: always `default/kubernetes`, and with `links` all of the namespace."""
    chosen: dict[str, Service] = {}
    for service in services:
        meta = service.metadata
        if service.spec.clusterIP in ("", "None"):
            continue
        if meta.namespace == "default" and meta.name == "kubernetes":
            chosen.setdefault(meta.name, service)
        elif links and meta.namespace == namespace:
            chosen[meta.name] = service
    values: dict[str, str] = {}
    for name in sorted(chosen):
        values |= _service(chosen[name])
    return values


def _service(service: Service) -> dict[str, str]:
    prefix = service.metadata.name.upper().replace("-", "_")
    address, ports = service.spec.clusterIP, service.spec.ports
    host = f"[{address}]" if ":" in address else address
    values = {f"{prefix}_SERVICE_HOST": address}
    for index, port in enumerate(ports):
        protocol = (port.protocol or "TCP").lower()
        url = f"{protocol}://{host}:{port.port}"
        if index == 0:
            values[f"{prefix}_SERVICE_PORT"] = str(port.port)
            values[f"{prefix}_PORT"] = url
        if port.name:
            values[f"{prefix}_SERVICE_PORT_{port.name.upper().replace('-', '_')}"] = str(port.port)
        base = f"{prefix}_PORT_{port.port}_{protocol.upper()}"
        values |= {base: url, f"{base}_PROTO": protocol, f"{base}_PORT": str(port.port), f"{base}_ADDR": address}
    return values
