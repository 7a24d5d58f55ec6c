"""May this user do that? A tour of authorisation.

`union.py` is what the server asks: it lets system:masters through, then asks `node.py` (a kubelet may touch
only what its pods use) and `rbac.py` (roles and bindings, indexed by subject). `rules.py` says what one rule
means, purely. `escalation.py` keeps people from granting what they do not hold. `defaults.py` makes the roles
and bindings that every cluster has, from the tables in `default_roles.py` and `default_controller_roles.py`,
and mends them at each start.
"""
