"""The function libraries: one module each, a tuple `LIBRARY` of signatures with what computes them.

    standard.py    operators, conversions, strings, time: the language itself
    strings.py     cel-go's string extension (version 2), with textformat.py for `format`
    collections.py optional values, sets, two-variable comprehensions
    lists.py       cel-go's list extension (version 3) and Kubernetes' own
    regexes.py     `find`, `findAll`, and the RE2 engine behind `matches`
    urls.py  quantities.py  network.py  formats.py  semvers.py     what Kubernetes adds
    authorizer.py  checks of permissions, for admission
    mutations.py   `Object{…}`, `JSONPatch{…}` and `jsonpatch.escapeKey`, for MutatingAdmissionPolicy

`environment.py` says which of them an environment has; costs are in `costs.py` and `estimates.py`, by function.
"""
