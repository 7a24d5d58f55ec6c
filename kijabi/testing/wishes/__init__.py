"""What the user of a simulation wishes for, a file for each sort of workload.

`hand.py` is how a user does anything: a client, a choice, a word about it. `templates.py` makes pod templates, good
ones and broken ones. Each other file is a `Theme`: wishes with their weights, `repair` that makes them grantable,
`update` that rolls out something new, and the kinds that are to be deleted in the end. `user.User` draws themes by the
seed. A new theme is a file here and a line in `user.THEMES`.
"""
