"""Tests of kijabi/client."""
