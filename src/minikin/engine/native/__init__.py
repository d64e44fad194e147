"""Kernels in C for what PyTorch does slowly with few rows; built on the user's machine."""
