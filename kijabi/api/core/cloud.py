"""Names that kubelets and cloud controllers agree on (k8s.io/cloud-provider `api`)."""

UNINITIALIZED = "node.cloudprovider.kubernetes.io/uninitialized"
"""Taint of a node about which the cloud has not told yet."""
SHUTDOWN = "node.cloudprovider.kubernetes.io/shutdown"
"""Taint of a node whose machine is switched off."""
PROVIDED_IP = "alpha.kubernetes.io/provided-node-ip"
"""Annotation of a node: the address that its kubelet was told to be reached at."""
