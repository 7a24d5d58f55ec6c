"""OpenAPI: what is served and what its objects look like, in versions 2 and 3 of the specification.

`serving.py` answers requests and keeps each group and version's documents until something there changes. `paths.py`
builds a version 3 document from the routes; `schema.py` turns types into schemas, `custom.py` those of custom
resources. `version2.py` derives the older version from it, `merge.py` puts pieces together. `gnostic.py`
and `gnostic3.py` write both as protobuf. Documents of aggregated API servers come from `aggregation/`.
"""
