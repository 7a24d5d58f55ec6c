"""What OpenAPI says about the members of types; `kubectl explain` shows it.

`schema.py` asks for the text of each member while it describes a type; types describe themselves by their docstrings.
The texts of `api/core/pod.py` are in `api/core/pod.ini`, a section for each type and an entry for each member, and so
with every module of types. A section may name a type that it is like (`LIKE = Container`, `LIKE = meta.Condition`),
whose texts hold where it has none of its own. What all objects have is described here, because custom resources have
it too; some first words of those are what clients' tests look for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kijabi import api
from kijabi.api import meta
from kijabi.api.struct import Struct

API_VERSION = "APIVersion defines the group and version in which the object is written, such as apps/v1."
KIND = "Kind is what the object is, as one word in CamelCase, such as Deployment."
METADATA = "Standard object's metadata: name, namespace, labels, annotations, owners."
LIST_METADATA = "Metadata of the list itself: its version, and how to read on."
_COMMON: Mapping[str, Mapping[str, str]] = {
    "TypeMeta": {"apiVersion": API_VERSION, "kind": KIND},
    "Object": {"metadata": METADATA},
}
SUFFIX = ".ini"
LIKE = "LIKE"
_NOTHING: Mapping[str, str] = {}


class Texts:
    """Reads the files of texts as they are needed. It lives as long as a document is made, so no text is kept twice."""

    def __init__(self) -> None:
        self._modules: dict[str, Mapping[str, Mapping[str, str]]] = {meta.__name__: {**read(meta.__name__), **_COMMON}}

    def of(self, cls: type[Struct], name: str) -> str:
        """The text of a type's member, its own or inherited; empty if there is none."""
        for base in cls.__mro__:
            if base is Struct:
                break
            found = self._find(base.__module__, base.__name__, name)
            if found:
                return found
        return ""

    def _find(self, module: str, cls: str, name: str) -> str:
        """What a type says about a member itself, or the type that it says it is like."""
        if module not in self._modules:
            self._modules[module] = read(module)
        texts = self._modules[module].get(cls, _NOTHING)
        if name in texts or LIKE not in texts:
            return texts.get(name, "")
        other, _, model = texts[LIKE].rpartition(".")
        return self._find(f"{api.__name__}.{other}" if other else module, model, name)


def place(module: str) -> Path:
    """Where the texts of a module's types are."""
    parts = module.removeprefix(f"{api.__name__}.").split(".")
    return Path(api.__path__[0]).joinpath(*parts).with_suffix(SUFFIX)


def read(module: str) -> dict[str, dict[str, str]]:
    """The texts of a module by type and member, each as one line; none if it has no file of them.

    Raises configparser.Error for a file of another form, or that says something twice.
    """
    file = place(module)
    if not file.is_file():
        return {}
    from configparser import RawConfigParser  # only once somebody asks

    parser = RawConfigParser(delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(file, encoding="utf-8")
    found = {name: {key: " ".join(text.split()) for key, text in parser.items(name)} for name in parser.sections()}
    parser.clear()  # it is part of a cycle, and would keep all this until the garbage collector comes
    return found
