"""May this user do that? A tour of authorisation.

`union.py` is what the server asks: it lets system:masters through, then asks the authorizers that the flags or a file
name (`config.py`, built by `modes.py`): by default `node.py` (a kubelet may touch only what its pods use) and `rbac.py`
(roles and bindings, indexed by subject); where configured, webhooks (`webhook.py`, for requests that fit what
`matching.py` evaluates) and policies in a file (`abac.py`). `rules.py` says what one rule means, purely.
`escalation.py` keeps people from granting what they do not hold. `defaults.py` makes the roles and bindings that every
cluster has, from the tables in `default_roles.py` and `default_controller_roles.py`, and mends them at each start.
"""
