"""Tests of the kubelet: pure parts by table, the loop on virtual time against the real API server in memory."""
