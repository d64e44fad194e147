"""One forward pass: the model's architecture, its tensors, and its layers."""
