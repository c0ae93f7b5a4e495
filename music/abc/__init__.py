"""ABC notation: the piece (:class:`Tune`), reading, writing, parsing and transposing."""

from musiczoo.music.abc.parse import bar_duration, header_meter, header_unit, parse_tune
from musiczoo.music.abc.reader import AbcBook, decode_abc, read_abc, read_abc_book
from musiczoo.music.abc.rests import is_rest_bar, kept_voice_bars
from musiczoo.music.abc.score import (
    ScoreLayout,
    StaffGroup,
    VoiceDefinition,
    score_layout,
    staff_count,
    voice_definitions,
)
from musiczoo.music.abc.sounding import sounding_notes
from musiczoo.music.abc.transpose import KEYS, key_interval, signature_key, transpose
from musiczoo.music.abc.tune import (
    Bar,
    BarSpan,
    Event,
    Field,
    Note,
    NoteHead,
    ParsedVoice,
    Pitch,
    Tune,
    Voice,
)
from musiczoo.music.abc.writer import interleaved_lines, write_abc

__all__ = [
    "KEYS",
    "AbcBook",
    "Bar",
    "BarSpan",
    "Event",
    "Field",
    "Note",
    "NoteHead",
    "ParsedVoice",
    "Pitch",
    "ScoreLayout",
    "StaffGroup",
    "Tune",
    "Voice",
    "VoiceDefinition",
    "bar_duration",
    "decode_abc",
    "header_meter",
    "header_unit",
    "interleaved_lines",
    "is_rest_bar",
    "kept_voice_bars",
    "key_interval",
    "parse_tune",
    "read_abc",
    "read_abc_book",
    "score_layout",
    "signature_key",
    "sounding_notes",
    "staff_count",
    "transpose",
    "voice_definitions",
    "write_abc",
]
