"""DaemonSet: a pod on every node that fits.

`plan.py` decides which nodes get a pod and which pods go, also while a new template is rolled out; `pod.py` makes a
node's pod; `controller.py` acts.
"""
