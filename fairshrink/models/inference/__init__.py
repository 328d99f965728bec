"""Running models: batches and what they share, outputs, log-probabilities, continuations."""
