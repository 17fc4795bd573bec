"""Spoken commands: a log-mel front end and a small convolutional network, their data, training and bundle."""
