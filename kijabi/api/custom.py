"""Objects of custom resources: typed metadata, and everything else as plain JSON values.

A CustomResourceDefinition builds a `Resource` whose type is `Custom`; the registry, the caches and the forms treat its
objects like all others. `codec.py` keeps `content` at the top level of the JSON text. The rules that a schema states
(prune, default, validate) are functions of that Resource and work on `content`.
"""

from __future__ import annotations

from typing import Any

from kijabi.api.meta import Object


class Custom(Object):
    """One custom object. content: its top-level members except apiVersion, kind and metadata, in order.

    Like every object it is shared once it is in a cache: nobody writes to it, nor into `content`.
    """

    content: dict[str, Any] = {}
