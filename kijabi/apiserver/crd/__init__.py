"""Custom resources: from a stored CustomResourceDefinition to a resource that is served like a built-in one.

`serving.py` follows the stored definitions and puts what `definition.py` makes of each into the routes;
`names.py` decides which names a definition gets and `lifecycle.py` writes that down, and empties what is being deleted.
The objects: `objects.py` has the rules that the definition states for them, `columns.py` its columns and field
selectors, `scale.py` its scale; `bodies.py` reads them off requests. They are stored in one version and served in
several: `conversion.py` and `conversionhook.py` turn one into another, `rendering.py` makes of a stored object what
one version shows, and `view.py` keeps a cache of all of them for each version that somebody lists or watches. The way
of an object through the registry, the store and the forms is that of all objects.
"""
