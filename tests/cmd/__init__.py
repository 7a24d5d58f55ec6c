"""Tests of kijabi.cmd."""
