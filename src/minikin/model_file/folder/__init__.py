"""Presents a Hugging Face folder (config.json, safetensors, a tokenizer) as a GGUF file.

files.py reads files and nothing outside the folder. shard.py reads one safetensors file. config.py,
rope.py and names.py translate the configuration and the tensor names to GGUF, tensors.py and
int4.py the weights, vocabulary.py the tokenizer. folder.py combines them.
"""
