"""Who did what, when, and how it ended: a tour of the audit log.

Off unless `--audit-policy-file` and a place to write to are given; then `setup.py` makes an `Auditor` of the flags and
`app.py` gives it to the server. `auditor.py` begins a `Record` (`record.py`) for each request; what is known of the
request is told it along the way, by the server itself and, from deep inside, through `context.py`. `policy.py` decides
how fully it is recorded, `objects.py` how bodies look in it. Finished events go to sinks (`sinks.py`: blocking, batched
or truncated), which deliver to `logfile.py` (with `rotation.py`) and `webhook.py`. Rules: k8s.io/apiserver `pkg/audit`
and `plugin/pkg/audit`; documentation page "Auditing".
"""
