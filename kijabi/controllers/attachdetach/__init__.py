"""Attach and detach: volumes of CSI drivers are brought to the nodes whose pods want them, and away from the others.

`volumes.py` says which volumes must be attached and what they are called; `plan.py` decides for one volume, purely;
`controller.py` acts. The driver's attacher does the work: it watches VolumeAttachments.
"""
