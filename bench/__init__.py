"""Benchmarks: what the figures of docs/benchmarks.md are measured with."""
