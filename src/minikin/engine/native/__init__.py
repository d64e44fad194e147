"""Kernels in C, compiled on the user's machine."""
