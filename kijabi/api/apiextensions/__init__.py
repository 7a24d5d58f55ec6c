"""apiextensions.k8s.io/v1: resources that users define.

`customresourcedefinition.py` is the declaration, `jsonschema.py` the schema in it, `conversionreview.py` what a
conversion webhook is asked.

`definitionrules.py` has the rules of a definition, with `conversionrules.py`, and `definitionwarnings.py` what one is
warned of. `schemarules.py` has those of its schemas, with `structuralrules.py`, `defaultrules.py`, `celcontext.py`
(what validation rules may cost), `fieldpath.py` and `goschema.py` behind it. `lifecycle.py` is what a write does to a
definition beside that.

What a schema does to objects: `structural.py` compiles it once; `prune.py`, `defaulting.py` and `validation.py` are
what the API server calls for every custom object. Behind the last stand `valuevalidation.py` (with `numberlimits.py`
and `stringformats.py`), `embedded.py`, `listtypes.py`, `celrules.py` and, for updates, `ratcheting.py`.
"""
