"""Sentence pairs for natural language inference, made by rules."""
