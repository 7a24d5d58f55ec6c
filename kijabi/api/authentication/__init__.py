"""authentication.k8s.io/v1: who somebody is.

`tokenreview.py` asks whose a token is (and has `UserInfo`), `selfsubjectreview.py` who I am, `tokenrequest.py` for a
token of a service account.
"""
