"""Job: pods until enough of them have succeeded, each counted exactly once.

`indexes.py` is arithmetic on completion indexes; `policy.py` what a failed pod or a set of successes means;
`history.py` when pods ended and how long to wait after failures; `surplus.py` which pods are given up; `pod.py` makes
pods; `plan.py` decides; `controller.py` acts.
"""
