"""The forward pass on an NVIDIA GPU: Triton kernels in steps that read nothing back."""
