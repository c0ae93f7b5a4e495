"""General MIDI programs guessed from the names of voices."""

from __future__ import annotations

import re

# The first match wins, so that "bass clarinet" is a clarinet and "double bass" no singer. English,
# Italian, German and French stems.
_PROGRAMS: tuple[tuple[str, int], ...] = (
    (r"english horn|cor anglais|corno inglese|englischhorn", 69),
    (r"piccolo|ottavino", 72),
    (r"recorder|blockfl|flauto dolce", 74),
    (r"flute|flauto|flöte|flote|traverso", 73),
    (r"oboe|hautbois", 68),
    (r"clarin(et|ett)|klarinett", 71),
    (r"bassoon|fagot|basson", 70),
    (r"sax", 65),
    (r"trombone|posaune", 57),
    (r"trumpet|tromba|trompet|clarino", 56),
    (r"\bhorn|corno|corni\b", 60),
    (r"tuba", 58),
    (r"timpani|pauken|timbales", 47),
    (r"glockenspiel", 9),
    (r"celesta", 8),
    (r"harpsichord|cembalo|clavecin|clavicembalo", 6),
    (r"organ|orgel|orgue|continuo", 19),
    (r"harp|arpa|harfe", 46),
    (r"guitar|guitare|gitarre|chitarra|lute|laute|liuto|theorb|tiorba", 24),
    (r"violoncell|cello|gamba", 42),
    (r"contrabass|double bass|kontrabass|violone|string bass", 43),
    (r"violin|violon\b|geige|fiddle", 40),
    (r"viola|bratsche|\balto viol", 41),
    (r"strings|streicher|archi", 48),
    (r"piano|klavier|keyboard|clavier", 0),
    (
        r"sopran|\balt(o|us)?\b|tenor|bass(us|o)?\b|cantus|quintus|voice|choir|chorus|canto|stimme|vocal|mezzo|bariton|superius",
        52,
    ),
)


def guess_program(name: str) -> int:
    """The General MIDI program (0 to 127) that suits a voice of this name.

    0, the piano, where the name gives no hint.

    >>> guess_program("Violino II"), guess_program("Soprano"), guess_program("")
    (40, 52, 0)
    """
    lowered = name.lower()
    return next((program for pattern, program in _PROGRAMS if re.search(pattern, lowered)), 0)
