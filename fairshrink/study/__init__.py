"""The study file: its schema, reading, checks and mistakes; pure, without torch."""
