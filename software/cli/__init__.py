"""The `cosoc` command: thin, over the Python packages."""
