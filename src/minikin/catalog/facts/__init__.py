"""What is known: dated values, the fields of records, the evidence of probes."""
