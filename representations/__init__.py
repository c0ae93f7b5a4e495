"""Piece <-> tensors, one file a representation."""
