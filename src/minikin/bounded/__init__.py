"""Processes with limited time and memory for untrusted work, and frames between processes."""
