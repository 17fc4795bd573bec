"""Registers and commands, declared once; everything that software or a board knows of them is generated from here."""
