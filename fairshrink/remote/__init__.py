"""Everything that uses DVC: pointers, cache, remote; restoring and sharing."""
