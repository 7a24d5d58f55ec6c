"""The core group, v1: pods and all they need.

A pod is `pod.py`, of `container.py` (with `env.py`, `probe.py`, `security.py`, `resources.py`) and `volume.py` (with
`volumevendor.py`), placed by `affinity.py`; its state is `podstatus.py`, its template `podtemplate.py`. Around it:
`node.py` with `nodestatus.py`, `service.py` and `endpoints.py`, `configmap.py`, `secret.py`, `serviceaccount.py`,
`persistentvolume.py` and `persistentvolumeclaim.py`, `namespace.py`, `resourcequota.py`, `limitrange.py`, `event.py`.
"""
