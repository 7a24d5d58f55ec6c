"""Who is asking? A tour of authentication.

`chain.py` is what the server asks; `build.py` puts it together from the flags. It tries a front proxy's word
(`requestheader.py`), a client certificate (`certificates.py`), then a bearer token, and lets others in as
system:anonymous; then `impersonation.py` puts on the mask that the headers ask for, if the wearer may. How users are
called is in `names.py`.

`bearer.py` asks about a token, in this order: `tokenfile.py` (a file of tokens), `serviceaccounts.py` (on signatures
that `tokens.py` checks, with `legacy.py` for those kept in Secrets), `bootstrap.py` (machines that join), `jwts.py`
(issuers that `config.py` names: keys by `issuer.py`, claims by `claims.py` and `distributed.py`) and `webhook.py`. The
other way round, `oidc.py` publishes the keys with which others check service-account tokens.
"""
