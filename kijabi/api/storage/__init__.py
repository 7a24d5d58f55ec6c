"""storage.k8s.io/v1: storage classes and CSI; which volume a claim may have (`matching.py`).

`storageclass.py` and `volumeattributesclass.py` are what claims ask for; `csidriver.py`, `csinode.py`,
`csistoragecapacity.py` and `volumeattachment.py` are what drivers, kubelets and the attach controller tell one another.
"""
