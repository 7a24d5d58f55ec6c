"""Tests of kijabi/testing."""
