"""Fine-tuning: the training loop, its settings, its state on disk, losses."""
