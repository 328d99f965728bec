"""Checkpoints: loading, saving, architecture, inference, stored forms, ledger."""
