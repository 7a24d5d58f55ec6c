"""Cloud providers by name: those built in, and those of installed packages, found by their entry point.

While one is written, `module:attribute` names it as well, without a package.

Asked by `cmd` (is there one of this name?) and by the controllers' `app`, which makes the one that was chosen.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import cast

from kijabi.base.errors import ConfigError
from kijabi.controllers.cloud.interface import Factory, Provider, Site
from kijabi.controllers.runtime import Context

GROUP = "kijabi.cloud_providers"
BUILT_IN = {"bare": "kijabi.controllers.cloud.bare.provider:Bare"}
NONE = "none"  # LoadBalancer Services wait, as they do in Kubernetes without a cloud


def find(name: str) -> Factory:
    """The provider of a name; ConfigError that names those there are."""
    module, colon, attribute = BUILT_IN.get(name, name).partition(":")
    if colon:
        try:
            return cast(Factory, getattr(import_module(module), attribute))
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigError(f"the cloud provider {name} cannot be loaded: {error}") from error
    from importlib.metadata import entry_points  # Late: it costs more than all the rest here.

    found = entry_points(group=GROUP)
    for entry in found:
        if entry.name == name:
            try:
                return cast(Factory, entry.load())
            except (ImportError, AttributeError) as error:
                raise ConfigError(f"the cloud provider {name} ({entry.value}) cannot be loaded: {error}") from error
    known = ", ".join(sorted({*BUILT_IN, NONE, *(entry.name for entry in found)}))
    raise ConfigError(f"there is no cloud provider {name}; there are: {known}")


def make(context: Context) -> Provider | None:
    """The provider that the settings name; None without one. ConfigError where it cannot be made."""
    config = context.config
    if config.cloud_provider in ("", NONE):
        return None
    site = Site(config=_read(config.cloud_config), cluster=config.cluster_name, context=context)
    return find(config.cloud_provider)(site)


def _read(file: str) -> str:
    if not file:
        return ""
    try:
        return Path(file).read_text()
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"cannot read the cloud provider's configuration {file}: {error}") from error


def external(name: str) -> bool:
    """Whether nodes are to wait until the provider has told about them: not with those built in."""
    return name not in ("", NONE) and name not in BUILT_IN
