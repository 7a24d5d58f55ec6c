"""What objects take of a namespace's quota, and whether it is enough. A tour.

Pure, and shared: admission in the API server charges quotas by it (`apiserver/admission/resourcequota.py`), the quota
controller counts by it (`controllers/resourcequota.py`).

- `amounts`: arithmetic over resource lists.
- `evaluators`: one for each kind that is more than counted (pods in `pods`, claims, services, device claims), and one
  for all that is only counted; custom resources too.
- `check`: a write against the quotas of its namespace.
- `count`: what a namespace uses, from its objects.

Source of the rules: core/v1 ResourceQuota, k8s.io/kubernetes `pkg/quota/v1`, k8s.io/apiserver `pkg/quota/v1` and
`pkg/admission/plugin/resourcequota`.
"""
