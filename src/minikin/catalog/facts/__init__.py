"""Facts: dated values, the fields of records, the evidence from probes."""
