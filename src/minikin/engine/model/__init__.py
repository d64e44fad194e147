"""One forward pass: the model's shape, its tensors, and what each layer computes."""
