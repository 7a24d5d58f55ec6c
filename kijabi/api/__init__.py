"""What exists: every type of the Kubernetes API, its rules, and its forms on the wire. Knows nothing of processes.

Begin with `struct.py`, which says how a type is written, and `core/configmap.py`, a small one. A resource is one
file in the package of its group (`core/`, `apps/`, `batch/` …) that ends with its `Resource` (`resource.py`), and one
line in `catalog.py`.

- `meta.py`: metadata, times, selectors, conditions, Status; `options.py`, `table.py`, `groups.py` and `version.py`:
  the other bodies that the API server reads and writes. `quantity.py`: amounts such as `100m` and `1Gi`.
- `codec.py` (with `codec_slow.py`): JSON. `yamltext.py`: YAML into JSON. `protobuf.py` (with its `_read`, `_write` and
  `_wire`): the binary form. `shape.py`: the annotations of the types as a table, for everyone who derives something
  from them. `sharing.py`: what lets caches hold many objects.
- `patch.py`, `strategic.py`, `selector.py`, `validation.py`, `formats.py`, `gotext.py`, `duration.py`, `status.py`,
  `columns.py`, `defaults.py`: pure rules over objects, and what they are made of.
"""
