"""The storagemigration API group: one module a kind."""
