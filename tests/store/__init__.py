"""Tests of kijabi/store."""
