"""Distance of a checkpoint's outputs from its baseline's."""
