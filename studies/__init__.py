"""Listening studies: blinded sheets that people fill in offline, and the statistics of their answers.

:func:`make_study` renders the pieces of two or more systems and writes one self-contained HTML file a participant, and a key that is kept
apart; :func:`analyse` reads what the participants sent back. The kinds follow the human evaluations of four papers' models: A/B with "no
preference" (NotaGen), ratings from 1 to 10 (SMART), and pairs of captions compared on five dimensions (MIDI-LLaMA).
"""

from __future__ import annotations
