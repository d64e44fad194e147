"""The engine in a process of its own: its supervisor, its worker, and the frames between them."""
