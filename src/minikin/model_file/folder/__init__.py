"""A Hugging Face folder (config.json, safetensors, a tokenizer) as a GGUF file would have it.

files.py lets nothing outside the folder in, shard.py reads one safetensors file, config.py, rope.py
and names.py say its configuration and tensors in GGUF's terms, tensors.py and int4.py its numbers,
vocabulary.py its tokenizer; folder.py puts them together.
"""
