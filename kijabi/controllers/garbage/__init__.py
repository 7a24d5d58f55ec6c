"""Garbage collection: objects whose owners are gone follow them.

`graph.py` knows who depends on whom, by uid, from every resource's metadata; it says which objects to look at when
something changes. `verdict.py` decides what becomes of one object, from what is known for certain about its owners.
`collector.py` is the shell: it watches, verifies on the server, deletes, patches owner references and finalizers.
The three ways are background (owner first), foreground (dependents first) and orphan (dependents stay), as
`propagationPolicy` of a deletion asks (meta/v1 DeleteOptions, OwnerReference).
"""
