"""JSON Schema and tools to grammars, and grammars to the tokens that an answer may go on with."""
