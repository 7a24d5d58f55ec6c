"""The local-path provisioner: volumes that are directories of the node's own disk, made and deleted with their claims.

Each node has an agent that serves the claims for which the scheduler chose that node (StorageClass `local-path`,
WaitForFirstConsumer), so a StatefulSet with claims works on any cluster without a storage system. `plan.py` says
purely what a claim or a volume needs; `disk.py` has the directories and survives a crash at any point; `agent.py`
joins them and speaks to the API server, as `system:kijabi-local-path`. Those who match, bind and schedule see an
external provisioner like any other (KEP-490 and the labels and annotations of `kijabi/api/storage/matching.py`).
"""
