from __future__ import annotations

import pytest
import torch

from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.models.prompts import Prompt, checked_labels
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels

KNOWN = (
    Prompt("Baroque", "Bach, Johann Sebastian", "Choral", 300),
    Prompt("Baroque", "Bach, Johann Sebastian", "Keyboard", 20),
    Prompt("Romantic", "Dvorak, Antonin", "Chamber", 7),
    Prompt("Traditional", "Ryan's Mammoth Collection", "reel", 250),
    Prompt("Traditional", "O'Neill's Music of Ireland", "jig", 400),
)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (
            Labels("Barock", "Bach, Johann Sebastian", "Choral"),
            r"period 'Barock'.*Did you mean 'Baroque'\?",
        ),
        (Labels("Baroque", "Bach", "Choral"), "composer 'Bach'.*'Bach, Johann Sebastian'"),
        (Labels("Romantic", "dvořák", "Chamber"), "'Dvorak, Antonin'"),
        (
            Labels("Traditional", "Ryan's Mammoth Collection", "reels"),
            "instrumentation 'reels'.*'reel'",
        ),
        (Labels("Baroque", "Zyx", "Choral"), "Did you mean .*new_labels=True"),
        (
            Labels("Romantic", "Bach, Johann Sebastian", "Choral"),
            "together.*Did you mean 'Baroque / Bach, Johann Sebastian / Choral' or 'Baroque / Bach, Johann Sebastian / Keyboard'",
        ),
        (Labels("", "Bach, Johann Sebastian", "Choral"), "period '' is no label"),
        (Labels("Baroque", "%%score", "Choral"), "'%%score' is no label"),
    ],
)
def test_unknown_labels_are_refused_with_the_nearest(labels: Labels, said: str) -> None:
    with pytest.raises(MusicZooError, match=said):
        checked_labels(labels, KNOWN)


def test_known_labels_and_new_ones_on_purpose() -> None:
    assert checked_labels(KNOWN[1], KNOWN) == Labels(
        "Baroque", "Bach, Johann Sebastian", "Keyboard"
    )
    assert checked_labels(Labels("Romantic", " Dvořák,  Antonín ", "Chamber"), KNOWN) == Labels(
        "Romantic", "Dvorak, Antonin", "Chamber"
    )
    new = Labels("Modern", "Bach, Johann Sebastian", "Choral")
    assert checked_labels(new, KNOWN, new=True) == new
    # A model without a list takes anything.
    assert checked_labels(new, ()) == new


def test_generate_takes_labels_beside_text() -> None:
    torch.manual_seed(0)
    module = BarStreamModule(
        patch_layers=1, char_layers=1, hidden=32, patch_length=64, heads=2
    ).eval()
    module.prompts = KNOWN
    text = "%Baroque\n%Bach, Johann Sebastian\n%Choral\n"
    prompts = [text, KNOWN[0], Labels("Baroque", "Bach, Johann Sebastian", "Choral")]
    results = [
        module.generate([prompt], None, 16, torch.Generator().manual_seed(1))[0]
        for prompt in prompts
    ]
    assert results[0].text.startswith(text)
    assert {result.text for result in results} == {results[0].text}
    with pytest.raises(MusicZooError, match="not trained with the period"):
        module.generate([Labels("Modern", "Bach, Johann Sebastian", "Choral")], None, 16)
    [new] = module.generate(
        [Labels("Modern", "Bach, Johann Sebastian", "Choral")], None, 16, new_labels=True
    )
    assert new.text.startswith("%Modern\n")
    # Text is the user's own affair.
    module.generate(["%Modern\n%Nobody\n%Choral\n"], None, 16)


def test_labels_outside_ascii_are_known_by_their_folded_letters() -> None:
    known = [Prompt("Romantic", "Dvořák, Antonín", "Chamber", 12)]
    asked = checked_labels(Labels("Romantic", "Dvořák, Antonín", "Chamber"), known)
    assert asked == Labels("Romantic", "Dvorak, Antonin", "Chamber")
    assert checked_labels(asked, known) == asked
