"""API groups that somebody else serves, and the list of all groups (KEP "API aggregation", k8s.io/kube-aggregator).

An APIService object says for each group and version whether it is served here ("local") or by a Service.
`registration.py` keeps the local ones, `availability.py` checks the others, `backends.py` reaches them, `proxy.py`
passes requests on, `discovery.py` and `openapi.py` fetch what they say about themselves, and `aggregator.py` runs all
this and tells `apiserver/discovery.py`, `apiserver/openapi/` and `server.py`. `ranks.py` puts groups in order.
"""
