"""The service proxy: makes Service addresses lead to pods, by nftables maps on every node.

`services` is pure: one Service and its EndpointSlices in, frontends (an address and port, and who answers) out.
`rules` is pure too: all frontends in, a `Ruleset` out, and the nft script that turns one ruleset into another. `nft`
applies a script, `conntrack` forgets connections to backends that are gone, `loop` ties them to the informers.
`health` tells load balancers outside whether this node has endpoints.
`announcer` answers for load balancer addresses on the local network, through `links`, in the words of `arp`.
"""
