"""The build: options, help, incremental builds, deterministic outputs."""
