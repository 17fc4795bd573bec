"""What benchmarks share: the report, and bundles of one node."""
