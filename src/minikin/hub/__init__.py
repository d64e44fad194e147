"""The hub: where models come from and where they are kept on this machine.

source.py names a place to fetch from, known.py the models that Minikin knows by name, cache.py the
folder that holds them, wheel.py and transfer.py bring the bytes, fetch.py puts the four together.
"""
