"""Turns messages into a prompt with the model's chat template, and reads answers."""
