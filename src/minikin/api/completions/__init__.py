"""The raw completions of POST /v1/completions: a prompt as it is, without a chat template."""
