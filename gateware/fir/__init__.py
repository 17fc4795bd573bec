"""FIR filters with complex float32 samples and taps."""
