"""The whole cluster in virtual time, seed by seed."""
