"""The provider for machines without a cloud: Services of type LoadBalancer get an address from a pool, and a node
answers for it on the local network.

`pool` is the book-keeping of ranges, pure. `provider` is what the service controller asks: it claims an address for a
Service by an IPAddress object, which exists once, whoever else tries. `claims` gives back what nobody needs. `announce`
chooses the node that answers for an address; the proxy on that node does (kijabi/proxy/announcer.py).
"""
