"""What compressing a language model does to its social bias, measured so that the answer can be checked."""
