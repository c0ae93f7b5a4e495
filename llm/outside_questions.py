"""Questions that a model of notes cannot answer, to which it says that it does not know.

Those of the test have other wordings and other topics than those of training.
"""

from __future__ import annotations

import random
from itertools import product

#: What is answered to all of them.
UNKNOWN = "I do not know."

_TOPICS = (
    "France",
    "the moon",
    "my dog",
    "the weather",
    "this city",
    "a train ticket",
    "the president",
    "the Roman empire",
    "quantum physics",
    "a good breakfast",
    "the stock market",
    "football",
    "chess",
    "my neighbour",
    "this computer",
    "the ocean",
    "a red car",
    "the film",
    "bread",
    "winter",
    "Mars",
    "a hospital",
    "the river",
    "cats",
    "my sister",
    "the internet",
    "coffee",
    "a mountain",
    "the garden",
    "Chinese grammar",
    "the theatre",
    "steel",
    "shoes",
    "the school",
    "a bicycle",
    "the singer",
    "the composer",
    "the publisher",
    "the lyrics",
    "the performer",
)
_WORDINGS = (
    "What is the capital of {}?",
    "How old is {}?",
    "Who invented {}?",
    "What colour is {}?",
    "How much does {} cost?",
    "Where can I find {}?",
    "When was {} founded?",
    "Tell me a joke about {}.",
    "Write a poem about {}.",
    "Why is {} so famous?",
    "What will happen to {} tomorrow?",
    "How tall is {}?",
    "Do you like {}?",
    "Translate {} into German.",
    "Explain {} to a child.",
    "What is the population of {}?",
    "Who is the owner of {}?",
    "Give me a recipe with {}.",
    "How many people know {}?",
    "Is {} dangerous?",
    "What did the newspaper write about {}?",
    "Can you draw {}?",
    "Which company makes {}?",
    "What is the weight of {}?",
    "Who was the first to see {}?",
)
_PLAIN = (
    "Who composed this piece?",
    "When was it composed?",
    "In which year was this music written?",
    "Who sings on the recording?",
    "What are the words of the song?",
    "Which label released it?",
    "What is the name of the composer's wife?",
    "Who owns the rights?",
    "What is the title?",
    "What is the tune called?",
    "How many copies were sold?",
    "Who is the conductor?",
    "Which orchestra recorded it?",
    "What does the composer look like?",
    "Is the performer famous?",
    "What language are the lyrics in?",
    "Where was the composer born?",
    "Did it win a prize?",
    "What was the price of the sheet music?",
    "Which film used this song?",
    "What is two plus two?",
    "What time is it?",
    "Who are you?",
    "How are you today?",
    "What is your name?",
    "Please book a table for two.",
    "Open the window.",
    "Send an email to my boss.",
    "What is the meaning of life?",
    "Sing it for me.",
    "Which microphone was used?",
    "Does my mother like it?",
)
_TEST_TOPICS = (
    "Norway",
    "the sun",
    "my horse",
    "the airport",
    "a blue jacket",
    "the mayor",
    "medieval history",
    "tea with milk",
    "tennis",
    "the lake",
    "a telephone",
    "our teacher",
    "glass",
    "the museum",
    "the drummer",
)
_TEST_WORDINGS = (
    "Who discovered {}?",
    "How far away is {}?",
    "What is the best thing about {}?",
    "Why do people talk about {}?",
    "How can I repair {}?",
    "What is the history of {}?",
    "Would you buy {}?",
    "How fast is {}?",
    "What is the opposite of {}?",
    "Where was {} made?",
)
_TEST_PLAIN = (
    "Who wrote this tune?",
    "Which singer performed it?",
    "How long did the composer live?",
    "What was the first concert with it?",
    "Who published this song?",
    "What is three times five?",
    "Where do you live?",
    "Can you cook dinner?",
    "Which year is it?",
    "What is the name of the song?",
)


def outside_questions(count: int, *, test: bool, seed: int = 0) -> list[str]:
    """Questions that notes do not answer.

    Args:
        count: How many at most.
        test: Those of the test; none of them, nor their wordings and topics, is in training.
        seed: Of the choice.
    """
    wordings, topics, plain = (
        (_TEST_WORDINGS, _TEST_TOPICS, _TEST_PLAIN) if test else (_WORDINGS, _TOPICS, _PLAIN)
    )
    made = [wording.format(topic) for wording, topic in product(wordings, topics)]
    rng = random.Random(seed)
    rng.shuffle(made)
    return [*plain, *made][:count]
