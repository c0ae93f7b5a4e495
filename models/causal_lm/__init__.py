"""Decoder-only token models: training passes, cached decoding and sampling, whatever the tokens mean."""
