"""audit.k8s.io/v1: which requests are recorded, and what a record says.

`policy.py` is the administrator's file, `event.py` one line of the audit log. Neither is served: they live in files
and webhooks only.
"""
