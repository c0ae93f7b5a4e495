"""Listening studies: blinded sheets that people fill in offline, and statistics of their answers.

:func:`make_study` renders the pieces of two or more systems. It writes one self-contained HTML file
a participant, and a key, which stays with the maker. :func:`analyse` reads the answers.
The kinds follow the human evaluations of three papers: A/B with "no preference" (NotaGen), ratings
from 1 to 10 (SMART), and pairs of captions compared on five dimensions (MIDI-LLaMA)::

    from musiczoo.studies import analyse, make_study, read_pieces

    made = make_study("ab", read_pieces({"base": "out/base", "tuned": "out/tuned"}), 12, "study")
    # ... each participant fills in their file of study/sheets and sends back what it exports ...
    result = analyse(made.key_path, ["answers"])
"""

from __future__ import annotations

from musiczoo.studies.analysis import Analysis, analyse
from musiczoo.studies.design import Aspect
from musiczoo.studies.making import make_study
from musiczoo.studies.material import read_captions, read_pieces
from musiczoo.studies.pictures import analysis_picture

__all__ = [
    "Analysis",
    "Aspect",
    "analyse",
    "analysis_picture",
    "make_study",
    "read_captions",
    "read_pieces",
]
