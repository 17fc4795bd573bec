"""The hardware of cosoc: what every accelerator is made of, and the accelerators themselves.

Cores know streams, never a bus; peripherals wrap a core in registers, a command ring and DMA; boards place them at addresses.
"""
