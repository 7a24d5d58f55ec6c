"""The admissionregistration API group: one module a kind."""
