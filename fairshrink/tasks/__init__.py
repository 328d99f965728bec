"""What a baseline is trained and scored on: one module per kind of task."""
