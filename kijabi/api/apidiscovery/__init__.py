"""The apidiscovery API group: one module a kind."""
