"""Tests of kijabi/base."""
