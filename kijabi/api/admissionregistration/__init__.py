"""admissionregistration.k8s.io/v1: who looks at writes before they are stored.

Webhooks: `mutatingwebhookconfiguration.py`, `validatingwebhookconfiguration.py`, with `webhookclient.py` for how to
reach them. Policies in CEL: `mutatingadmissionpolicy.py`, `validatingadmissionpolicy.py` and the bindings that put
them into effect. `policyrules.py` has what all of them use to say which writes they match. What is accepted:
`webhook_rules.py`, `policy_rules.py` and `matching_rules.py`, with `expressions.py` for what is written in CEL and
`typechecking.py` for doubts about its types; these are loaded when first needed.
"""
