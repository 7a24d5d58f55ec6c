"""May this object be written like that? A tour of admission.

The registry puts every write through `chain.py`: all plug-ins may change the object, then it is validated,
then all may refuse it. Plug-ins, in upstream's order: `namespacelifecycle.py` (nothing new in a namespace
that goes), `serviceaccount.py` (every pod has one, with its token), `noderestriction.py` (a kubelet writes
only what is its own), `nodetaint.py` (a new node takes no pods yet), `priority.py`, `tolerations.py`; and,
last, `authz/escalation.py`. A plug-in is one file (see `plugin.py`) and one line in `chain.plugins`.
"""
