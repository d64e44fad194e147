"""The engine in its own process: the supervisor, the worker, and the frames between them."""
