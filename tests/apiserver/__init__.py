"""Tests of the API server through `ApiServer.handle`, with the memory store."""
