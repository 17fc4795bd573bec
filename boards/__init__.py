"""Boards: addresses, interrupts, clocks, memory ports, and what each needs to build and deploy a SoC."""
