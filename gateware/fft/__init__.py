"""FFT: fast Fourier transforms of power-of-two length."""
