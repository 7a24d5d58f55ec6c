"""May this object be written like that? A tour of admission.

The registry puts every write through `chain.py`: all plug-ins may change the object, then it is validated,
then all may refuse it. A plug-in is one file (see `plugin.py`) and one line in `chain.plugins`, which has upstream's
order and all that is on by default there:

- of namespaces: `namespacelifecycle.py` (nothing new where all goes), `limitranger.py`, `podsecurity.py` with its
  checks, and `resourcequota.py` (last of all, charged with the write).
- of pods: `serviceaccount.py`, `priority.py`, `tolerations.py`, `runtimeclass.py`, `podtopologylabels.py`,
  `podresize.py` and `nodefeatures.py`.
- of nodes: `noderestriction.py` with `podcertificates.py` (a kubelet writes only what is its own), `nodetaint.py`.
- of storage and networks: `defaultclasses.py`, `storageprotection.py`, `claimresize.py`.
- of rights: `certificates.py`, and `authz/escalation.py`.
- what users bring (`chain.dynamic`): `mutatingpolicy.py` and `validatingpolicy.py` on `policies.py`, which
  `mutatingevaluator.py` and `validatingevaluator.py` compute; `mutatingwebhook.py` and `validatingwebhook.py` on
  `hooks.py`, with `review.py` for what is said; `paramaccess.py`. Whom they are about: `rules.py`, `matching.py`,
  `kinds.py`; in which form they see it: `forms.py`; their expressions: `evaluation.py`, `conditions.py`.
"""
