"""What JSON Schema says, rewritten until a grammar can follow it."""
