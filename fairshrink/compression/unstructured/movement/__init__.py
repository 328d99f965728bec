"""Movement pruning."""
