"""Who is asking? A tour of authentication.

`chain.py` is what the server asks. It tries a client certificate (`certificates.py`), then a bearer token
(`serviceaccounts.py`, on signatures that `tokens.py` checks), and lets others in as system:anonymous; then
`impersonation.py` puts on the mask that the headers ask for, if the wearer may. `oidc.py` publishes the keys
with which others check service-account tokens.
"""
