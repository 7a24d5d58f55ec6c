"""metrics.k8s.io: what nodes and pods use at the moment. Computed when asked for, never stored."""
