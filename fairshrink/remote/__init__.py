"""Everything that knows DVC: pointers, cache, remote; restoring and sharing."""
