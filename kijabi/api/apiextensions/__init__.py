"""The apiextensions API group: one module a kind."""
