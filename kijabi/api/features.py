"""Features that are off unless the administrator turns them on, by upstream's names.

The API server is told which by `--apiserver-arg feature-gates=NAME=true`; what a feature brings has its name as `gate`
(`Resource`). Those that v1.37 has on by default are simply there, and are no switches here; a version that is off by
default needs `--apiserver-arg runtime-config=GROUP/VERSION=true` too (reference page "kube-apiserver").
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from kijabi.api.resource import Resource
from kijabi.base.errors import ConfigError

GENERIC_WORKLOAD = "GenericWorkload"
"""Pod groups: KEP-4671."""
SWITCHES = frozenset((GENERIC_WORKLOAD,))
_WORDS = {"true": True, "false": False}


def gates(arguments: Iterable[str]) -> frozenset[str]:
    """The features that `NAME=true` turns on. Raises ConfigError in words."""
    found = _switched("feature-gates", arguments)
    for name in found:
        if name not in SWITCHES:
            known = ", ".join(sorted(SWITCHES))
            raise ConfigError(f"--apiserver-arg feature-gates: {name} is no feature to be turned on or off; {known} is")
    return frozenset(name for name, on in found.items() if on)


def versions(arguments: Iterable[str], resources: Sequence[Resource]) -> frozenset[str]:
    """The versions (`GROUP/VERSION`) that are off by default and are to be served. Raises ConfigError in words."""
    optional = {resource.api_version for resource in resources if resource.gate}
    found = _switched("runtime-config", arguments)
    wanted: set[str] = set()
    for name, on in found.items():
        beta = {version for version in optional if "beta" in version}
        meant = {"api/all": optional, "api/beta": beta}.get(name, {name})
        for version in meant:
            if version not in optional:
                known = ", ".join(("api/all", "api/beta", *sorted(optional)))
                raise ConfigError(f"--apiserver-arg runtime-config: {name} is no version to be turned on; {known} are")
        wanted = wanted | meant if on else wanted - meant
    return frozenset(wanted)


def served(resources: Sequence[Resource], gates: Collection[str], versions: Collection[str]) -> tuple[Resource, ...]:
    """What is there with these features and these versions on."""
    return tuple(one for one in resources if not one.gate or (one.gate in gates and one.api_version in versions))


def _switched(flag: str, arguments: Iterable[str]) -> dict[str, bool]:
    """NAME=true and NAME=false, the last word on each; a name alone means true."""
    found: dict[str, bool] = {}
    for argument in arguments:
        name, _, text = argument.partition("=")
        if text.lower() not in _WORDS and text:
            raise ConfigError(f"--apiserver-arg {flag}: {argument}: the value must be true or false")
        found[name.strip()] = _WORDS[text.lower() or "true"]
    return found
