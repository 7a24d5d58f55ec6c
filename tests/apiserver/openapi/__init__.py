"""Tests of OpenAPI."""
