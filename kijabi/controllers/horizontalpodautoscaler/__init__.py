"""HorizontalPodAutoscaler: replica counts that follow metrics.

From what the metric APIs say to a number of replicas, in this order: `readings.py` is what a metric says, `metrics.py`
asks the three APIs for it; `replicas.py` is arithmetic, how many pods a reading calls for, with pods that are not ready
or not measured; `proposals.py` does that for one entry of `spec.metrics`, with its status and its words; `pace.py`
holds the number back: limits, rates, stabilisation; `plan.py` decides with all of these, purely. `targets.py` finds,
reads and writes the scale of whatever is scaled, and `controller.py` is the shell.
"""
