"""Wordings of closed questions, as patterns with choices in brackets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from itertools import product

_CHOICE = re.compile(r"\(([^()]*)\)")
_TELL = "(Tell me|Say|Name|Please state|Give me|I want to know|Can you tell me|Describe)"
_IT = "(the piece|this piece|the music|this music|the tune|this tune|the melody|it)"
_OF = "(| of the piece| of this piece| of the music| of this tune| of the melody| here)"

#: Patterns by what is asked about; each choice between bars gives a wording.
PATTERNS: Mapping[str, tuple[str, ...]] = {
    "mode": (
        f"(What is|Which is|Describe|{_TELL[1:-1]}) (the mode|its mode|the tonality|the kind "
        f"of key){_OF}?",
        "(In what|In which|Which|What) (mode|kind of key|tonality) (is|does one hear in|has) "
        f"{_IT}?",
        f"Is {_IT} (in |written in |)(major|minor|a major key|a minor key|a major mode|a "
        "minor mode)?",
        f"Is {_IT} (in |)(major or minor|minor or major|a minor or a major mode|a major key "
        "or a minor one)?",
        f"(Does|Would) {_IT} (sound|be) (major or minor|minor|major|dorian|mixolydian)?",
        f"{_TELL} (which mode|what mode|which tonality) {_IT} (has|is in|is written in|uses).",
        f"{_TELL} whether {_IT} is (major or minor|in major or in minor|minor).",
    ),
    "voices": (
        "(How many|What number of) (voices|parts|lines) (are in|sound in|does one hear in|"
        f"make up) {_IT}?",
        f"(How many|What number of) (voices|parts|lines) does {_IT} (use|need|contain)?",
        f"(What is|Which is|{_TELL[1:-1]}) (the number of voices|the number of parts|its "
        f"texture|the kind of texture){_OF}?",
        f"Is {_IT} (for one voice|for four voices|for several voices|in several parts|"
        "polyphonic|monophonic|in unison)?",
        f"{_TELL} (how many voices|how many parts|how many lines) {_IT} (has|contains|needs).",
        "(Is there|Do you hear) (one part|one voice|only one line|more than one voice|a "
        f"choir of voices) in {_IT}?",
    ),
    "range": (
        "How (wide|large|big|great) is (the range|the pitch range|the compass|the span|the "
        f"ambitus){_OF}?",
        f"(What is|Which is|{_TELL[1:-1]}) (the range|the compass|the ambitus|the span|its "
        f"range|the range of pitches|the range of the notes){_OF}?",
        "How (far|many semitones|many octaves) (is it|lies) (between|from) the (lowest|"
        "bottom) (and|to) the (highest|top) (note|pitch|tone)?",
        f"How many (octaves|semitones|tones) does {_IT} (span|cover|use|reach over)?",
        "How many (octaves|semitones) (do the pitches|do all notes|do its notes) (cover|"
        "reach over|need)?",
        "(What|Which) (distance|interval) (separates|lies between) the (lowest|bottom) and "
        "the (highest|top) (note|pitch)?",
        "Is the (range|compass) (wide|narrow|large|small|more than an octave|more than two "
        "octaves)?",
        f"{_TELL} (how wide the range is|how far its notes reach|how large the compass is).",
    ),
    "density": (
        f"How (dense|busy|thick|sparse|full) (is|would you call) {_IT}?",
        f"How (dense|busy|close together) (are the notes of|are notes in) {_IT}?",
        f"(What is|Which is|{_TELL[1:-1]}) (the note density|the density|the density of notes|"
        f"its density){_OF}?",
        "Is (the density|its density|the density of notes) (high|low|medium|high or low|low "
        f"or high){_OF}?",
        "Are there (many|few|a lot of|only some) notes (in a beat|in each beat|in a bar|for "
        "its length)?",
        f"Does {_IT} (have|use|contain) (many|few|lots of) notes?",
        "How many notes (are in|come in|fill|go into) (a beat|each beat|one beat|a quarter note)?",
        f"{_TELL} (how dense|how busy|how full of notes) {_IT} is.",
    ),
    "rhythm": (
        f"(What|Which) (dance|sort of dance|dance tune|kind of tune|rhythm) is {_IT}?",
        f"(What is|Which is|{_TELL[1:-1]}) (the dance|the type of dance|the rhythm|the kind "
        f"of tune|the dance type){_OF}?",
        f"Is {_IT} a (reel|jig|hornpipe|slip jig|strathspey|reel or a jig|jig or a reel|"
        "hornpipe or a reel)?",
        f"(What|Which) (dance|steps) (could|would|can) (one|people|you) dance to {_IT}?",
        f"{_TELL} (what dance|which dance|what sort of tune) {_IT} is.",
    ),
    "source": (
        "(From which|From what|In which|In what) (collection|book|source|volume) (is|comes|"
        f"does one find) {_IT}?",
        f"(What is|Which is|{_TELL[1:-1]}) (the collection|the source|the book|its origin|the "
        f"origin){_OF}?",
        f"Where (is|was|does one find) {_IT} (from|taken from|printed|found)?",
        f"Is {_IT} (from|in|out of) (Ryan|O'Neill|Aird|Bach|Ryan's book|Aird's book|O'Neill's "
        "collection)?",
        f"(Who|Which book|Which collection) (printed|collected|published|contains|has) {_IT}?",
        f"{_TELL} (where|from which book|from which collection) {_IT} (comes|is).",
    ),
    "cadence": (
        f"(What is|Which is|{_TELL[1:-1]}) (the final cadence|the last cadence|the closing "
        f"cadence|the cadence|the end of the bass){_OF}?",
        f"(How|In what way) does {_IT} (reach its end|arrive at the tonic|come to rest|end "
        "harmonically|finish in the bass)?",
        f"(What|Which) (kind of cadence|cadence) (closes|ends|finishes|is last in) {_IT}?",
        "(Does|Will) (the bass|the lowest voice|the last note|the final note|the ending) "
        "(end on|reach|arrive at|lie on|leave) the tonic?",
        "How (does|will) (the bass|the lowest voice|the lowest part) (end|move at the end|go "
        "to the last note|reach the last note)?",
        f"{_TELL} (how the bass ends|which cadence comes last|what the final cadence is).",
    ),
    "close": (
        "(Does|Will) (the melody|the tune|the highest voice|the top line) (go up|go down|"
        "rise|fall|climb|descend|stay level) (at its end|in the end|at the close|in its last "
        "notes)?",
        f"(What is|Which is|{_TELL[1:-1]}) (the direction of the last interval|the direction "
        "at the end|the last step of the melody|the direction of the ending)?",
        "(In which|In what|Which|What) direction does (the melody|the tune|the last interval|"
        "the final step) (go|move|close|take)?",
        "(How|Where) (does|will) (the melody|the top voice|the tune) (close|move in the last "
        "two notes|go at the very end)?",
        "Is (the end|the ending|the last interval|the final step|the close) (rising|falling|"
        "ascending|descending|level|upward|downward)?",
        "(Do|Will) the (last|final|closing) (two notes|notes|tones) (go up or down|ascend or "
        "descend|rise or fall|stay level)?",
        f"{_TELL} whether (the end|the melody|the last interval|the close) (rises or falls|"
        "goes up or down|is ascending or descending).",
    ),
}  # fmt: skip


@cache
def wordings_of(tag: str) -> tuple[str, ...]:
    """All wordings of the patterns of a question, sorted.

    >>> "Is the tune a reel?" in wordings_of("rhythm")
    True
    """
    found = {wording for pattern in PATTERNS.get(tag, ()) for wording in _expanded(pattern)}
    return tuple(sorted(found))


def _expanded(pattern: str) -> list[str]:
    parts = _CHOICE.split(pattern)
    choices = [part.split("|") if number % 2 else [part] for number, part in enumerate(parts)]
    texts = ["".join(chosen) for chosen in product(*choices)]
    asked = re.compile(rf"^{_TELL[1:-1].replace('|', '|^')}")
    # A request ends with a full stop.
    return [re.sub(r"\?$", ".", text) if asked.match(text) else text for text in texts]
