"""Closed questions about notated pieces: wordings, and answers that follow from the notes.

Wordings of tests differ from those of training, and every answer names what was asked for in one
way, so that answers can be counted as right or wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from musiczoo.music.analysis.notation_facts import NotationFacts


@dataclass(frozen=True)
class ClosedQuestion:
    """A question with a few possible answers.

    Attributes:
        tag: What is asked about.
        wordings: Of training.
        test_wordings: Of tests.
        answer: The answer for a piece and its source, None where it has none.
    """

    tag: str
    wordings: tuple[str, ...]
    test_wordings: tuple[str, ...]
    answer: Callable[[NotationFacts, str], str | None]


def _numeral(count: int) -> str:
    names = {1: "one voice", 2: "two voices", 3: "three voices", 4: "four voices"}
    return names.get(count, "more than four voices")


def _article(word: str | None) -> str:
    return "an" if word and word[0] in "aeiou" else "a"


_SOURCES: Mapping[str, str] = {
    "bach-chorales": "Bach's chorales",
    "ryan": "Ryan's Mammoth Collection",
    "oneill": "O'Neill's Music of Ireland",
    "aird": "Aird's Airs",
}


def _sentence(before: str, value: str | None, after: str = ".") -> str | None:
    return None if value is None else f"{before}{value}{after}"


CLOSED: tuple[ClosedQuestion, ...] = (
    ClosedQuestion(
        "mode",
        (
            "Is this piece in a major or a minor mode?",
            "Which mode is it in?",
            "What is the mode of this music?",
            "Is the tune major or minor?",
            "Name the mode of the piece.",
            "Is the key major or minor?",
            "Tell me the mode.",
            "In which mode is this tune written?",
            "Does it sound major or minor?",
            "Major or minor?",
            "Is it in a minor key?",
            "Is it in a major key?",
            "Is the music major, minor, dorian or mixolydian?",
            "What mode do you hear?",
            "Which of the modes is used here?",
            "Tell me whether the music is major or minor.",
            "Is it minor?",
            "Is it major?",
            "Please name the mode of this tune.",
            "What is the tonality, major or minor?",
        ),
        (
            "Is it in major or minor?",
            "What mode is this piece in?",
            "Is this tune in a major or minor key?",
            "Say which mode the music has.",
        ),
        lambda facts, source: _sentence("It is in a ", facts.mode, " mode."),
    ),
    ClosedQuestion(
        "voices",
        (
            "How many voices does this piece have?",
            "How many parts are there?",
            "Is it for one voice or for several?",
            "What is the number of voices?",
            "Count the voices of the piece.",
            "How many voices sing or play?",
            "Is the music in one voice or in four?",
            "Tell me how many voices it has.",
            "Is the texture monophonic or polyphonic?",
            "Describe the texture.",
            "How many lines does the music have?",
            "Is this a melody alone or a piece in parts?",
            "Is it a single line?",
            "Do several voices sound together?",
            "For how many voices is it written?",
            "Is it monophonic?",
            "Is it polyphonic?",
            "Please count the parts.",
        ),
        (
            "How many voices are there?",
            "What is the texture of the music?",
            "How many parts does the piece have?",
            "Is there one voice or are there more voices?",
        ),
        lambda facts, source: f"It has {_numeral(facts.voices)}." if facts.voices else None,
    ),
    ClosedQuestion(
        "range",
        (
            "How wide is the range of the piece?",
            "What is the range?",
            "How far is it from the lowest to the highest note?",
            "Which range of pitches does it use?",
            "What distance do its notes span?",
            "How large is the range of the music?",
            "Tell me the range of pitches.",
            "How many octaves does it span?",
            "Describe the pitch range of this tune.",
            "What interval lies between the lowest and the highest note?",
            "Is the range wide or narrow?",
            "Does it stay within an octave?",
            "How far apart are its extremes?",
            "Please give the range of the notes.",
            "How many semitones does it cover?",
            "Is the range larger than an octave?",
        ),
        (
            "What is the pitch range of the piece?",
            "How wide is its range?",
            "How many octaves do the notes span?",
            "What is the distance from the lowest note to the highest?",
        ),
        lambda facts, source: _sentence("Its range is ", facts.range),
    ),
    ClosedQuestion(
        "density",
        (
            "How dense are the notes?",
            "What is the note density?",
            "Are there many or few notes in a beat?",
            "Is the density of notes low, medium or high?",
            "How many notes does it have for its length?",
            "Is the music busy or sparse?",
            "Tell me the density of the notes.",
            "Does it have many notes in each beat?",
            "How busy is the piece?",
            "Describe the note density of this music.",
            "Is it full of notes?",
            "Are there lots of notes in a beat or just a few?",
            "Please rate the density of the notes.",
            "How many notes come in a beat?",
            "Is it thick with notes or thin?",
            "Would you call the density low, medium or high?",
        ),
        (
            "Is the note density low, medium or high?",
            "How dense is the music?",
            "Does the piece have many notes or few notes?",
            "How busy are the notes?",
        ),
        lambda facts, source: _sentence("Its note density is ", facts.density),
    ),
    ClosedQuestion(
        "rhythm",
        (
            "What type of dance is it?",
            "Which rhythm type does the tune have?",
            "What kind of tune is this?",
            "Is it a reel, a jig or a hornpipe?",
            "Name the rhythm type.",
            "Which dance is this?",
            "What dance can be danced to this tune?",
            "To which dance does the rhythm belong?",
            "Tell me the type of the tune.",
            "What is the rhythm of this tune?",
            "Is this a jig?",
            "Is this a reel?",
            "Is this a hornpipe?",
            "What sort of dance tune do you hear?",
            "Please name the dance.",
            "Could one dance a slip jig to it?",
            "Which category of tune is it?",
        ),
        (
            "What is the rhythm type of the tune?",
            "Which type of dance tune is this?",
            "Is the tune a reel, a hornpipe or a jig?",
            "What kind of dance is it?",
        ),
        lambda facts, source: _sentence(f"It is {_article(facts.rhythm)} ", facts.rhythm),
    ),
    ClosedQuestion(
        "source",
        (
            "From which collection is this piece?",
            "Where does the piece come from?",
            "Which collection does it belong to?",
            "Name its source.",
            "What is the source of this music?",
            "In which book is the tune printed?",
            "Is it from Bach, Ryan, O'Neill or Aird?",
            "Which book has this tune?",
            "Tell me the collection.",
            "From what source was it taken?",
            "Who collected this piece?",
            "Is this one of the chorales?",
            "Please name the book it stands in.",
            "Which printed collection contains it?",
            "Is it in O'Neill's book?",
            "What is its origin, which book?",
        ),
        (
            "Which collection does the piece come from?",
            "What is the source of the piece?",
            "In which collection is this music?",
            "From which book is the tune?",
        ),
        lambda facts, source: _sentence("It is from ", _SOURCES.get(source)),
    ),
    ClosedQuestion(
        "cadence",
        (
            "What is the final cadence?",
            "How does the lowest voice come to its last note?",
            "How does the piece cadence at the end?",
            "Does it end on the tonic?",
            "Describe the final cadence.",
            "Which cadence ends the piece?",
            "Is the last note the tonic?",
            "How does the bass reach its last note?",
            "Name the cadence at the end.",
            "Does the cadence reach the tonic by step or by leap?",
            "How does it finish, on the tonic or away from it?",
            "Which step leads to the last note?",
            "Please describe how the bass ends.",
            "Is there a dominant before the final tonic?",
            "By which motion is the final note reached?",
            "Does the final note lie on the tonic?",
        ),
        (
            "How does the piece cadence?",
            "Which cadence is at the end of the piece?",
            "What is the cadence at the end?",
            "How does the bass come to the last note?",
        ),
        lambda facts, source: _sentence("It goes ", facts.cadence),
    ),
    ClosedQuestion(
        "close",
        (
            "Does the melody close upwards or downwards?",
            "Is the close ascending or descending?",
            "Do the last two notes rise or fall?",
            "In which direction does the melody end?",
            "How do the last two notes of the melody move?",
            "Does the melody end with a rising or a falling step?",
            "Is the end of the melody ascending, descending or level?",
            "Tell me the direction of the close.",
            "Does the tune rise or fall at its end?",
            "Which direction has the close of the melody?",
            "Is the last step of the melody up or down?",
            "Does the final interval go up or down?",
            "Please tell how the melody closes.",
            "Do the final notes ascend or descend?",
            "Does the ending rise?",
            "Does the ending fall?",
        ),
        (
            "Does the melody rise or fall at the end?",
            "Is the direction of the close ascending or descending?",
            "How does the melody move in its last two notes?",
            "In which direction do the last two notes move?",
        ),
        lambda facts, source: _sentence("Its close is ", facts.close),
    ),
)
