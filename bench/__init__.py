"""Measurements: numerics against a reference, speed against peers."""
