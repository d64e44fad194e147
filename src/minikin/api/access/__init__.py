"""Who uses the server: API keys, their file, and their limits."""
