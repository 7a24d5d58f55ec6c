"""Server-side apply, as pure functions: who owns which field of an object, and what follows from it.

`elements.py` writes and reads one step of a path to a field; `fieldset.py` has sets of paths and their algebra;
`schema.py` says how values of a type merge, made from an API type or from a custom resource's schema; `typed.py`
walks a value by its schema (check, merge, remove, list the fields); `compare.py` finds what changed between two
values; `managers.py` reads and writes `metadata.managedFields`; `updater.py` decides what an update or an apply
does to them; `lastapplied.py` takes over from client-side apply; `scale.py` is the same for the scale subresource.

The rules are those of KEP-555 and KEP-1152 and of sigs.k8s.io/structured-merge-diff. `apiserver/managedfields.py`
calls this for every write.
"""
