"""HTTP: accepted requests, bodies, errors, keys and headers."""
