"""The architectures, one folder each, and what they share: the contracts, the objectives and the sampling rules."""
