"""What the parts of a model are: blocks in order, the roles of their linear layers, heads; how heads are removed."""
