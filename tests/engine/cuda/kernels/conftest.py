"""Kernels run on the CPU in Triton's interpreter, or are compiled without a GPU.

`make test-gpu` does both, in two processes: Triton decides at import.
"""

from __future__ import annotations

import os

# Triton warns that the default changes. Fused multiply-add is what the kernels are measured with.
os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")
