"""Conv2D: quantized two-dimensional convolution."""
