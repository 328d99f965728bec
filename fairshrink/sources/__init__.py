"""Where downloads come from: one module per kind of source."""
