"""The core API group: one module a kind."""
