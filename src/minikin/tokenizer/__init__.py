"""Text to token ids and back, as each model's own file defines it."""
