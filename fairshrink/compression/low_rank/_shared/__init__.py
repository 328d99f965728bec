"""What methods of low rank share."""
