"""Where records come from, and the catalog that joins them."""
