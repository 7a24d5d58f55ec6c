"""apiextensions.k8s.io/v1: resources that users define.

`customresourcedefinition.py` is the declaration, `jsonschema.py` the schema in it, `conversionreview.py` what a
conversion webhook is asked.
"""
