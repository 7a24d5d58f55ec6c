"""Deployment: roll a set of pods from one template to the next through ReplicaSets.

Read `plan.py` first: from a Deployment and its ReplicaSets it computes every write of one reconcile. It
builds on `revision.py` (which ReplicaSet belongs to which template and revision), `scale.py` (how many pods
each may have) and `status.py` (conditions and progress). `controller.py` is the shell that claims the sets
and carries the plan out. The rules are those of apps/v1 Deployment and of k8s.io/kubernetes
`pkg/controller/deployment`.
"""
