"""API priority and fairness: who is answered when more is asked than can be answered at once (KEP-1040).

Read `gate.py` first, which every request passes. What it decides by is pure: `matching.py` finds the FlowSchema of a
request, `estimate.py` its seats, `shuffle.py` deals its flow some queues, `queueset.py` is the queues of one priority
level, `allocation.py` and `levels.py` deal the server's seats to the levels, `retry.py` says when to come again.
`line.py` is whose turn it is on the event loop; `turns.py`, one folder up, asks it. `statuses.py` tells in the
FlowSchemas' conditions whether their level exists; `figures.py`, `exposition.py` and `dump.py` are what one can look
at.
"""
