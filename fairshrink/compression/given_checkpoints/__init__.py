"""Checkpoints that others have compressed, as rows beside the models that they were made from."""
