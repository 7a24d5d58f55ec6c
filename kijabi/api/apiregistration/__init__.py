"""The apiregistration API group: one module a kind."""
