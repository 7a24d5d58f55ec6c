"""authorization.k8s.io/v1: what somebody may do.

Four questions to the authorizer: `subjectaccessreview.py` (with the types that the others use),
`localsubjectaccessreview.py`, `selfsubjectaccessreview.py` and `selfsubjectrulesreview.py`. None is stored.
"""
