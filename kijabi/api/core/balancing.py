"""What the parts that give load balancers to Services on bare machines say to one another and to users, in annotations.

The bare provider's controllers write and read them, and so does the proxy, which announces addresses.
"""

ANNOUNCED_BY = "kijabi.dev/announced-by"
"""On a Service: the node that answers for its load balancer's address. Written by the controllers."""
WANTED = "kijabi.dev/load-balancer-ip"
"""On a Service: the address that it would like; `spec.loadBalancerIP`, which is deprecated, does the same."""
NETWORKS = "kijabi.dev/networks"
"""On a Node: the networks that it can announce addresses in, with commas between. Without it, it can in any."""
CLAIM = "kijabi.dev/load-balancer-service"
"""Label of an IPAddress that a load balancer has: the uid of its Service."""
