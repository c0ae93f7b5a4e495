"""Generation: independent of cache, batch and drafts; scored as the model scores; streaming past the context."""

from pathlib import Path

import numpy as np
import pytest
import torch

from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.models.bar_stream.generation import Stream
from musiczoo.models.bar_stream.guards import BarDurations, Countdown, Guards
from musiczoo.models.sampling import Sampling
from musiczoo.music.errors import MusicZooError

FIXTURES = Path(__file__).parents[2] / "fixtures" / "bar_stream"
PROMPTS = ["%Baroque\nL:1/8\nM:4/4\nK:G\n", "K:C\n", "%A\nK:D\n", "", "L:1/4\nK:G\n"]


@pytest.fixture(scope="module")
def module():
    return BarStreamModule.from_notagen(FIXTURES / "notagen_tiny.pth")


def sample(module, prompts=PROMPTS, **options):
    options = {"sampling": Sampling(), "max_length": 24, **options}
    return module.generate(prompts, generator=torch.Generator().manual_seed(3), **options)


@pytest.mark.parametrize(("draft", "batch_size"), [(None, 1), (3, 1), (0, 5), (None, 5), (2, 3)])
def test_same_pieces_whatever_the_batch_and_the_drafts(module, draft, batch_size):
    plain = sample(module, draft=0, batch_size=1)
    other = sample(module, draft=draft, batch_size=batch_size)
    for one, two in zip(plain, other, strict=True):
        assert torch.equal(one.tokens, two.tokens)
        torch.testing.assert_close(one.log_probs, two.log_probs, atol=1e-4, rtol=1e-4)


def test_seeds(module):
    one, two = (
        module.generate(PROMPTS[:1], max_length=30, generator=torch.Generator().manual_seed(seed))[
            0
        ].tokens
        for seed in (1, 2)
    )
    assert not torch.equal(one, two)


@torch.no_grad()
@pytest.mark.parametrize("temperature", [1.0, 1.2])
def test_reported_log_probs_are_those_of_the_full_softmax(module, temperature):
    for piece in sample(module, sampling=Sampling(top_k=5, top_p=0.8, temperature=temperature)):
        batch = {"patches": piece.tokens[None], "lengths": torch.tensor([len(piece.tokens)])}
        scored = module.log_probs(batch, temperature=temperature)
        values = scored.values.reshape(-1, 16)
        assert torch.equal(scored.mask.reshape(-1, 16) & piece.scored[1:], piece.scored[1:])
        torch.testing.assert_close(
            values[piece.scored[1:]], piece.log_probs[1:][piece.scored[1:]], atol=1e-4, rtol=1e-4
        )


class OneLine:
    """Allows only one bar after another, and the end after ``bars`` of them."""

    def __init__(self, text="[V:1]C2E2|\n", bars=10**6):
        self.text, self.bars, self.said = text, bars, 0

    def for_piece(self, prompt):
        return OneLine(self.text, self.bars)

    def mask(self, partial):
        mask = np.zeros(128, dtype=bool)
        done = self.said % len(self.text) == 0 and self.said >= self.bars * len(self.text)
        if partial.startswith("\x01") or (done and not partial):
            mask[2 if partial else 1] = True
            return mask
        place = (self.said + len(partial)) % len(self.text)
        mask[2 if place == 0 and partial else ord(self.text[place])] = True
        return mask

    def commit(self, patch):
        self.said += len(patch.rstrip("\x02"))


def test_streams_past_the_context_with_the_prompt_kept(module, monkeypatch):
    contexts = []
    original = Stream.cut

    def cut(self, capacity):
        done = original(self, capacity)
        contexts.append(([self.patches[i] for i in self.context], self.header_length))
        return done

    monkeypatch.setattr(Stream, "cut", cut)
    bars = []
    pieces = sample(
        module,
        PROMPTS[:2],
        max_length=400,
        guard=OneLine(),
        on_progress=lambda index, text: bars.append((index, text)),
    )
    assert [len(piece.tokens) for piece in pieces] == [400, 400]
    assert [piece.stop for piece in pieces] == ["max_length", "max_length"]
    assert len(contexts) >= 6
    for context, header in contexts:
        assert header in (2, 5)
        assert len(context) <= 128
        assert context[0] == [1] * 15 + [2]
        assert "".join(map(chr, context[header])).startswith("[V:1]")
    # Every bar is reported once, in order, with the text so far.
    for index, piece in enumerate(pieces):
        texts = [text for number, text in bars if number == index]
        assert texts == sorted(texts, key=len)
        assert all(piece.text.startswith(text) for text in texts)
        assert {text.splitlines()[-1] for text in texts} == {"[V:1]C2E2|"}
        assert len(texts) == piece.text.count("[V:1]C2E2|\n")


def test_after_a_cut_the_model_sees_header_and_later_half(module):
    """The condition after a cut equals the uncached net on the cut context."""
    from musiczoo.models.bar_stream.generation import BarStreamGenerator

    prompt = module.representation.encode_text(PROMPTS[0], annotate=False, end=False)
    loop = BarStreamGenerator(module.net, Sampling(), max_length=150, slots=1, guard=OneLine())
    checked = 0
    lengths = []
    for running in loop.run([prompt], PROMPTS[:1], [0]):
        context = running[0].context
        if lengths and len(context) < lengths[-1]:
            cut_context = list(context)
        elif lengths and lengths[-1] < max(lengths):
            seen = torch.tensor(
                [p + [0] * (16 - len(p)) for p in (running[0].patches[i] for i in context[:-1])]
            )
            hidden = module.net.patch_hidden(seen[None], torch.tensor([len(seen)]))[-1]
            torch.testing.assert_close(loop.conditions[0], hidden, rtol=1e-4, atol=1e-4)
            checked += 1
        lengths.append(len(context))
    assert checked
    assert cut_context[:5] == list(range(5))


def test_each_piece_stops_on_its_own_and_lets_the_next_one_in(module):
    ends = iter([2, 9, 4, 1, 6])

    class Various(OneLine):
        def for_piece(self, prompt):
            return OneLine(self.text, next(ends))

    pieces = sample(module, batch_size=2, guard=Various(), max_length=100)
    assert [piece.text.count("[V:1]") for piece in pieces] == [2, 9, 4, 1, 6]
    assert {piece.stop for piece in pieces} == {"end"}
    assert all(piece.tokens[-1].tolist() == [1] + [2] * 15 for piece in pieces)
    assert pieces[0].piece is not None
    assert len(pieces[0].piece.voices[0].bars) == 2


def test_a_new_piece_is_forced_to_its_first_bar(module):
    class SaysSeven(OneLine):
        def for_piece(self, prompt):
            return SaysSeven("[r:7/9][V:1]C2|\n")

    [piece] = sample(module, ["K:C\n"], guard=SaysSeven(), max_length=8)
    assert "[r:0/" in piece.text
    [free] = sample(module, ["K:C\n"], guard=SaysSeven(), max_length=8, start_at_first_bar=False)
    assert free.text.startswith("K:C\n[r:7/9]")


def test_cancelling(module):
    [piece] = sample(
        module,
        PROMPTS[:1],
        guard=OneLine(),
        max_length=100,
        on_progress=lambda index, text: text.count("[V:1]") < 3,
    )
    assert piece.stop == "cancelled"
    assert piece.text.count("[V:1]") == 3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_generates(dtype):
    module = BarStreamModule.from_notagen(FIXTURES / "notagen_tiny.pth").to(dtype)
    pieces = sample(module, max_length=20)
    assert all(torch.isfinite(piece.log_probs).all() for piece in pieces)


def test_module_mode_and_gradients_are_left_alone(module):
    module.train()
    sample(module, max_length=12)
    assert module.net.training
    module.eval()
    assert all(p.grad is None for p in module.parameters())


def test_bad_requests(module):
    with pytest.raises(MusicZooError, match="no option bars"):
        module.generate(["K:C\n"], bars=3)
    with pytest.raises(MusicZooError, match="prompt 0"):
        module.generate(["%x\n" * 200], max_length=50)
    with pytest.raises(MusicZooError, match="top_p"):
        Sampling(top_p=1.5)
    assert module.generate([]) == []


def test_guards_hold_under_drafts(module):
    """Random weights, four voices: every bar is aligned, every piece ends, and guessing ahead changes nothing."""
    header = "M:4/4\nL:1/8\nK:C\nV:1\nV:2\nV:3\nV:4\n"
    opening = header + "[r:0/2][V:1]C8|[V:2]C8|[V:3]C8|[V:4]C8|\n"
    guard = Guards([BarDurations(), Countdown(min_bars=2, max_bars=3)])
    options = {
        "guard": guard,
        "max_length": 400,
        "sampling": Sampling(top_k=0, top_p=0.0, temperature=1.0),
    }
    drafted = sample(module, [opening] * 3, **options)
    plain = sample(module, [opening] * 3, draft=0, batch_size=1, **options)
    for one, two in zip(drafted, plain, strict=True):
        assert torch.equal(one.tokens, two.tokens)
        assert one.stop == "end"
        assert one.error is None
        lengths = [[bar.duration for bar in voice.bars] for voice in one.piece.parsed]
        assert len(lengths) == 4
        assert all(voice == lengths[0] for voice in lengths)
        assert len(lengths[0]) == 3
