"""The architectures, one folder each, and what they share: contracts, objectives, sampling."""
