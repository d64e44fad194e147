"""The forward pass in PyTorch, for what the native kernels do not support: `minikin[torch]`."""
