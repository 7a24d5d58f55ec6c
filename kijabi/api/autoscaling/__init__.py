"""autoscaling: the size of workloads.

`scale.py` is v1's Scale, the body of every `/scale`. `horizontalpodautoscaler.py` is autoscaling/v2, the stored form;
`horizontalpodautoscaler_v1.py` the older view of it.
"""
