"""resource.k8s.io/v1: dynamic resource allocation, that is devices (KEP-4381).

Drivers publish `resourceslice.py`, administrators define `deviceclass.py` and `devicetaintrule.py`, users ask with
`resourceclaim.py` (whose requests are `devicerequest.py`) or `resourceclaimtemplate.py`. The package is not called
`resource` because `api/resource.py` is.
"""
