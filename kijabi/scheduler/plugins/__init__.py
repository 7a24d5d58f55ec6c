"""One rule a file; `kijabi/scheduler/catalog.py` has a line for each."""
