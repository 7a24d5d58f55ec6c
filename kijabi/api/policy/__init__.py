"""policy/v1: disruption on purpose, bounded by `poddisruptionbudget.py` and asked for by `eviction.py`."""
