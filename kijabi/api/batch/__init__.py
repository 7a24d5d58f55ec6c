"""batch/v1: work that ends. `job.py` runs it, `cronjob.py` starts jobs by the clock."""
