"""rbac.authorization.k8s.io/v1: permissions.

`role.py` and `clusterrole.py` say what, `rolebinding.py` and `clusterrolebinding.py` say who.
"""
