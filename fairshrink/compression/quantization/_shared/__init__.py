"""What quantization methods share."""
