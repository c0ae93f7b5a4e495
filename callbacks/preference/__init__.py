"""Rounds of preference learning during one fit: sample, score, pair, train."""
