"""Processes of bounded time and memory for untrusted work, and the frames between processes."""
