"""The architectures, one folder each, and what they share: contracts, objectives, sampling."""

__path__.append("musiczoo.moved")  # finds modules by the paths that they had
