"""StatefulSet: pods with names that stay, in order, each with claims of its own.

`identity.py` says who a pod is and makes it; `claims.py` whose the claims are; `plan.py` decides the next steps;
`controller.py` acts.
"""
