"""resource.k8s.io/v1: dynamic resource allocation, that is devices (KEP-4381).

Drivers publish `resourceslice.py`, administrators define `deviceclass.py` and `devicetaintrule.py`, users ask with
`resourceclaim.py` (whose requests are `devicerequest.py`) or `resourceclaimtemplate.py`; which claims a pod means,
`podclaims.py` knows. What they must be is in
`rules.py`, `claim_rules.py` and `slice_rules.py`. `selectors.py` runs the CEL expressions that pick devices,
`taints.py` says who must keep away from or leave which, and `allocator.py` finds the devices for claims. The package is
not called `resource` because `api/resource.py` is.
"""
