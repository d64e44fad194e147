"""Reads untrusted model files in Python: GGUF files and Hugging Face folders."""
