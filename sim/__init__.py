"""Running a SoC without a board: its RTL as one Verilated model with a model of the board's memory."""
