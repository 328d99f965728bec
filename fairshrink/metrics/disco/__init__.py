"""DisCo."""
