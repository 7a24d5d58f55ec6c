"""Liveness, kind by kind: what must come true once nothing fails any more and nobody changes anything.

Each function looks at one object and the present objects (`history.Ledger`) and says in words what is not yet as it
should be. `converge.KINDS` lists them: a new one is a function here and a line there.
"""
