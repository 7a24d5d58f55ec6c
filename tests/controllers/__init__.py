"""Tests of kijabi.controllers: plans by table, and the controllers against the real server in virtual time."""
