"""Controls: damage without compression, as a reference for the effects of compression."""
