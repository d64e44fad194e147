"""The hub: downloads models and stores them on this machine.

source.py describes a source. known.py lists the models that Minikin knows by name. cache.py is the
folder that stores models. huggingface.py, wheel.py and transfer.py download. fetch.py uses all.
"""
