"""Authors, models, providers and offerings; live probes; pages of evidence.

The catalog imports only the errors of the rest of Minikin. It reaches a model only over HTTP.
"""
