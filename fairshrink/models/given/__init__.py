"""Models that somebody else compressed: their files, decoded to the dense weights that they stand for."""
