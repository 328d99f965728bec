"""Low rank weighed by gradients."""
