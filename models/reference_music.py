"""A few bars that downloads are checked with: what a model computes for them is stored with it."""

#: Three bars of two voices in interleaved ABC, from the clefs on; the header goes before.
REFERENCE_BARS = """K:Gm
V:1 treble nm="Piano"
V:2 bass
[V:1]G2 ^F2 G2|[V:2]G,4 D2|
[V:1]A3 B c2-|[V:2]F,2 E,2 D,2|
[V:1]c2 B4|[V:2]G,6|
"""
