"""Tests of `kijabi/api/apiextensions`."""
