"""Benchmarks: one file each, with a function `run(build) -> Report`; `python -m bench` runs them."""
