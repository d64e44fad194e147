"""What the server keeps: completions, responses, items, conversations, files and batches."""
