"""Sources of records, and the catalog that joins them."""
