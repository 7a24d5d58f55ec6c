"""Tests of metrics.k8s.io."""
