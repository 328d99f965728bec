"""What compressing a language model does to its social bias, measured so that the result can be checked."""
