"""Detection of handwritten digits in textured scenes: a single-shot network, its data, training, boxes and bundle."""
