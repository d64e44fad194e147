"""Authors, models, providers and offerings; live probes; pages of evidence.

Nothing here imports the rest of Minikin but its errors: a model is reached over HTTP only.
"""
