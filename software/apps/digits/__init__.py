"""Handwritten digits: a small VGG-style network, its data, its training and its bundle."""
