"""Wordings of questions and answers about tags and facts; those of tests differ from training."""

from __future__ import annotations

from dataclasses import dataclass

PIECE, CLIP = "piece", "excerpt"


@dataclass(frozen=True)
class TagWordings:
    """How a tag is asked about and answered.

    Attributes:
        questions: Of training; ``{music}`` stands for "piece" or "excerpt".
        test_questions: Of tests.
        answers: Sentences with ``{value}`` in them.
    """

    questions: tuple[str, ...]
    test_questions: tuple[str, ...]
    answers: tuple[str, ...]


WORDINGS: dict[str, TagWordings] = {
    "genre": TagWordings(
        (
            "What is the genre of this {music}?",
            "Which kind of piece do you hear?",
            "To which genre does this music belong?",
            "Name the genre of the {music}.",
            "What type of composition is this?",
            "How would you classify this {music} by genre?",
        ),
        ("Which genre is this {music}?", "Say what kind of composition it is."),
        ("The genre is {value}.", "Its genre is {value}.", "By genre, it is {value}."),
    ),
    "style": TagWordings(
        (
            "In which style is this {music} written?",
            "What is the style of the music?",
            "Describe the style of this {music}.",
            "Which musical style do you recognise?",
            "How would you call its style?",
            "Name the style of the composition.",
        ),
        ("What style does this {music} have?", "Which style is the music in?"),
        ("The style is {value}.", "Its style is {value}.", "As to style, it is {value}."),
    ),
    "emotion": TagWordings(
        (
            "Which emotion does this {music} convey?",
            "What is the mood of the music?",
            "How does this {music} feel?",
            "Describe the emotion that a listener may perceive.",
            "What feeling does the music evoke?",
            "Name the mood of the {music}.",
        ),
        ("What emotion do you perceive in this {music}?", "Which mood has the music?"),
        (
            "The perceived emotion is {value}.",
            "Its mood is {value}.",
            "A listener may perceive this emotion: {value}.",
        ),
    ),
    "background": TagWordings(
        (
            "What is the background of this composition?",
            "How did this piece come into being?",
            "What is known about the composition of this music?",
            "Give the background of the piece.",
            "Under which circumstances was this music composed?",
            "What is the story behind this piece?",
        ),
        ("What is known about how it was composed?", "Describe the background of this music."),
        ("{value}",),
    ),
    "expressive_intent": TagWordings(
        (
            "What does this music express?",
            "What is the expressive intent of this {music}?",
            "What did the composer want to express?",
            "Which idea or image does the music depict?",
            "What is this {music} meant to convey?",
            "Describe the expressive intent of the music.",
        ),
        ("What is the music meant to express?", "Which intent of expression does it have?"),
        ("{value}",),
    ),
    "key": TagWordings(
        (
            "What is the key of this {music}?",
            "In which key is the music?",
            "Name the key.",
            "Which key does this {music} have?",
            "What key do you hear?",
            "Identify the key of the {music}.",
        ),
        ("Which key is this {music} in?", "Say the key of the music."),
        ("The key is {value}.", "It is in {value}.", "This music is in {value}."),
    ),
    "time_signature": TagWordings(
        (
            "What is the time signature of this {music}?",
            "Which meter does the music have?",
            "In which meter is this {music} written?",
            "Name the time signature.",
            "What meter do you find here?",
            "Identify the time signature of the {music}.",
        ),
        ("Which time signature has this {music}?", "What is its meter?"),
        ("The time signature is {value}.", "It is in {value}.", "The meter is {value}."),
    ),
    "tempo": TagWordings(
        (
            "What is the tempo of this {music}?",
            "How fast is the music?",
            "At which tempo is this {music} played?",
            "Give the tempo in quarter notes a minute.",
            "Name the tempo of the {music}.",
            "How many quarter notes are played in a minute?",
        ),
        ("Which tempo does this {music} have?", "How quick is it?"),
        ("The tempo is {value}.", "It is played at {value}.", "Its tempo is {value}."),
    ),
    "instruments": TagWordings(
        (
            "Which instruments play in this {music}?",
            "What is the instrumentation?",
            "On which instruments is this {music} played?",
            "Name the instruments.",
            "What instruments do you hear?",
            "For what instruments is the music?",
        ),
        ("What plays in this {music}?", "Which instruments are used?"),
        ("It is played by {value}.", "The instrumentation is {value}.", "One hears {value}."),
    ),
    "range": TagWordings(
        (
            "Which range of notes does this {music} cover?",
            "What are the lowest and the highest note?",
            "Between which notes does the music move?",
            "How far do the notes of this {music} reach?",
            "Name the range of the {music}.",
            "From which note to which note does it go?",
        ),
        ("What is the pitch range of this {music}?", "Give the lowest and the highest pitch."),
        ("The notes reach {value}.", "Its range is {value}.", "It moves {value}."),
    ),
    "texture": TagWordings(
        (
            "What is the texture of this {music}?",
            "How many notes sound together?",
            "Describe the texture of the music.",
            "Is the texture of this {music} thin or dense?",
            "How full is the music?",
            "Name the texture of the {music}.",
        ),
        ("Which texture does this {music} have?", "How dense is the texture?"),
        ("The texture is {value}.", "Its texture is {value}."),
    ),
}

CAPTION_QUESTIONS = (
    "Describe this {music}.",
    "Write a caption for this {music}.",
    "Summarise the music in a few sentences.",
    "Give a short description of the {music}.",
    "What would you write about this {music}?",
    "Characterise the music.",
)
CAPTION_TEST_QUESTIONS = (
    "Please write a description of this {music}.",
    "How would you describe the music?",
)
