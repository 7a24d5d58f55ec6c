"""The volume binder: brings claims and volumes together, and does with volumes what their policy says afterwards.

`plan.py` decides about a claim and about a volume, `provisioning.py` about a claim for which there is no volume, and
`reclaim.py` about a volume whose claim has gone; all of them are pure. `known.py` holds claims and volumes with the
indexes that make looking for one another cheap; `recycling.py` empties volumes by a pod; `controller.py` acts.
"""
