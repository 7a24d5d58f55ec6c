"""Enumerations that several kinds of the core group share, in the order in which messages list them."""

PROTOCOLS = ("SCTP", "TCP", "UDP")
TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")

# Bytes that the values of a ConfigMap or Secret may hold together.
DATA_LIMIT = 1024 * 1024
