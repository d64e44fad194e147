"""From messages to a prompt: the model's own chat template, safely rendered."""
