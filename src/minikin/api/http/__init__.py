"""HTTP itself: what is accepted, how bodies are read and written, keys and headers."""
