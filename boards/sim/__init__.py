"""Simulation of a SoC without a board."""
