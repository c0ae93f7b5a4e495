"""Decoder-only token models: training passes, cached decoding, sampling of any tokens."""
