"""apidiscovery.k8s.io/v2: all of a server's resources in one document (`apigroupdiscovery.py`).

The older documents, one for each group and version, are in `api/groups.py`.
"""
