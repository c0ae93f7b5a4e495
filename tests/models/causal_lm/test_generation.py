"""Sampling: cached equals uncached, batches change nothing, and the guard allows only REMI."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from musiczoo.models.adapters import LoRA
from musiczoo.models.base.generative import Generated
from musiczoo.models.causal_lm.decoding import CachedDecoder
from musiczoo.models.phi3_remi import Phi3RemiModule, RemiGrammar
from musiczoo.models.sampling import GREEDY, Sampling
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.remi import BOS, EOS, Remi


def module(**settings: object) -> Phi3RemiModule:
    model = Phi3RemiModule(
        **{"layers": 2, "hidden": 32, "heads": 4, "intermediate": 48, "positions": 96, **settings}
    ).eval()
    with torch.no_grad():
        for parameter in model.net.parameters():
            parameter.mul_(4)
    return model


def prompts(model: Phi3RemiModule) -> list[Tensor]:
    ids = model.reference_batch()["ids"][0]
    return [ids[:7], ids[:3], ids[:12], ids[:7], torch.tensor([BOS])]


def sample(
    model: Phi3RemiModule, sampling: Sampling | None = None, **options: object
) -> list[Generated]:
    settings = {"max_new_tokens": 50, "generator": torch.Generator().manual_seed(5), **options}
    return model.generate(prompts(model), sampling, **settings)


@pytest.mark.parametrize(
    "settings", [{}, {"key_value_heads": 2, "rotary": 0.5}, {"tied": True}], ids=str
)
@torch.no_grad()
def test_log_probs_of_a_sample_are_those_of_the_uncached_model(settings: dict[str, object]) -> None:
    model = module(**settings)
    for result in sample(model, batch_size=3):
        uncached = model.log_probs(model.representation.collate([result.tokens])).values[0]
        assert result.scored.sum() == len(result.tokens) - int((~result.scored).sum())
        torch.testing.assert_close(
            result.log_probs[1:][result.scored[1:]],
            uncached[result.scored[1:]],
            rtol=1e-4,
            atol=1e-4,
        )
        assert not result.log_probs[~result.scored].any()


@torch.no_grad()
def test_greedy_is_the_uncached_argmax() -> None:
    model = module()
    for result in sample(model, GREEDY, batch_size=2):
        logits = model.net(result.tokens.unsqueeze(0)).logits[0]
        assert logits[:-1][result.scored[1:]].argmax(-1).equal(result.tokens[1:][result.scored[1:]])


@pytest.mark.parametrize(
    "sampling", [None, GREEDY, Sampling(top_k=20, top_p=0.9, temperature=1.5)], ids=str
)
@pytest.mark.parametrize("guard", [None, "grammar"])
def test_a_piece_does_not_depend_on_the_batch(sampling: Sampling | None, guard: str | None) -> None:
    model = module()
    whole = sample(model, sampling, guard=guard)
    for batch_size in (1, 2, 4):
        parts = sample(model, sampling, guard=guard, batch_size=batch_size)
        assert [result.tokens.tolist() for result in parts] == [
            result.tokens.tolist() for result in whole
        ]


def test_pieces_come_as_soon_as_they_end_and_in_order_at_last() -> None:
    model = module()
    results = sample(model)
    settings = {"max_new_tokens": 50, "generator": torch.Generator().manual_seed(5)}
    seen = list(model.stream(prompts(model), **settings))
    assert sorted(number for number, _ in seen) == [0, 1, 2, 3, 4]
    assert all(results[number].tokens.equal(result.tokens) for number, result in seen)
    ends = [len(result.tokens) - int((~result.scored).sum()) for _, result in seen]
    assert ends == sorted(ends)


def test_stops() -> None:
    results = sample(module())
    assert {result.stop for result in results} <= {"end", "max_length"}
    for result in results:
        assert (result.stop == "end") == (int(result.tokens[-1]) == EOS)
        assert EOS not in result.tokens[:-1][result.scored[:-1]].tolist()
        assert result.scored.sum() <= 50


def test_no_piece_ends_early() -> None:
    model = module()
    prompt = model.reference_batch()["ids"][0, :7]
    assert any(
        result.stop == "end"
        for result in model.generate(
            [prompt] * 64, max_new_tokens=60, generator=torch.Generator().manual_seed(0)
        )
    )
    for guard in (None, "grammar"):
        results = model.generate(
            [prompt] * 64,
            max_new_tokens=60,
            min_new_tokens=50,
            generator=torch.Generator().manual_seed(0),
            guard=guard,
        )
        assert min(int(result.scored.sum()) for result in results) > 50
        with torch.no_grad():
            uncached = model.log_probs(model.representation.collate([results[0].tokens])).values[0]
        torch.testing.assert_close(results[0].log_probs[7:], uncached[6:], rtol=1e-4, atol=1e-4)


def test_an_adapter_takes_part() -> None:
    model = module()
    before = sample(model, GREEDY)
    model.add_lora(LoRA(rank=4, alpha=64.0))
    with torch.no_grad():
        for name, parameter in model.net.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    after = sample(model, GREEDY)
    assert [result.tokens.tolist() for result in after] != [
        result.tokens.tolist() for result in before
    ]
    with torch.no_grad():
        uncached = model.log_probs(model.representation.collate([after[0].tokens])).values[0]
    torch.testing.assert_close(
        after[0].log_probs[1:][after[0].scored[1:]],
        uncached[after[0].scored[1:]],
        rtol=1e-3,
        atol=1e-3,
    )


def test_sampling_leaves_the_mode_and_the_random_state_alone() -> None:
    model = module(dropout=0.5)
    model.train()
    state = torch.get_rng_state()
    first = sample(model)
    assert torch.get_rng_state().equal(state)
    assert model.net.training
    model.eval()
    assert [result.tokens.tolist() for result in sample(model)] == [
        result.tokens.tolist() for result in first
    ]


def test_slots_in_and_out_of_step_agree() -> None:
    model = module()
    ids = torch.randint(3, 413, (3, 9))
    together, apart = CachedDecoder(model.net, 3, 20), CachedDecoder(model.net, 3, 20)
    together.fill(range(3), list(ids[:, :4]))
    apart.fill(range(3), [ids[0, :4], ids[1, :2], ids[2, :3]])
    with torch.no_grad():
        for number in range(4, 9):
            in_step = together.step(ids[:, number])
        for number in range(5):
            out_of_step = apart.step(
                torch.stack([ids[0, 4 + number], ids[1, 2 + number], ids[2, 3 + number]])
            )
        expected = model.net(ids).logits
    torch.testing.assert_close(in_step, expected[:, 8], rtol=1e-4, atol=1e-4)
    for row, place in enumerate((8, 6, 7)):
        torch.testing.assert_close(out_of_step[row], expected[row, place], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("active", [1, 2, 15, 16, 17, 24, 25])
def test_every_number_of_slots_gives_the_logits_of_the_whole_pass(active: int) -> None:
    model = module()
    ids = torch.randint(3, 413, (active, 6), generator=torch.Generator().manual_seed(active))
    decoder = CachedDecoder(model.net, 25, 8)
    with torch.no_grad():
        expected = model.net(ids).logits
        # In step, and where the first stands one token before the others.
        decoder.fill(range(active), [row[:4] for row in ids])
        torch.testing.assert_close(decoder.step(ids[:, 4]), expected[:, 4], rtol=1e-4, atol=1e-4)
        decoder.fill([0], [ids[0, :4]])
        step = decoder.step(torch.cat([ids[:1, 4], ids[1:, 5]]))
    assert step.shape == (active, 413)
    torch.testing.assert_close(
        step, torch.cat([expected[:1, 4], expected[1:, 5]]), rtol=1e-4, atol=1e-4
    )


def test_the_grammar_lets_real_pieces_through() -> None:
    from tests.representations.test_remi import pieces

    tokens = Remi.smart()
    grammar = RemiGrammar(tokens)
    for piece in pieces():
        ids = tokens.encode(piece)
        state = grammar.start([ids[:1]])
        for token in ids[1:]:
            allowed = state.allowed(torch.tensor([0]))[0]
            assert allowed[token], tokens.text(ids)
            assert not allowed.all()
            state.read(torch.tensor([0]), token.unsqueeze(0))


def test_the_guard_leaves_no_token_that_decoding_skips() -> None:
    model = module()
    results = model.generate(
        ["BOS"] * 8, max_new_tokens=80, guard="grammar", generator=torch.Generator().manual_seed(2)
    )
    for result in results:
        kinds = [name.partition("_")[0] for name in result.text.split()]
        complete = [
            kinds[place : place + 3] for place in range(len(kinds) - 2) if kinds[place] == "Pitch"
        ]
        assert all(kind == ["Pitch", "Velocity", "Duration"] for kind in complete)
        # Every onset goes forwards.
        onsets = [
            note.time
            for track in model.representation.decode(result.tokens).tracks
            for note in track.notes
        ]
        assert onsets == sorted(onsets)
    free = model.generate(
        ["BOS"] * 8, max_new_tokens=80, generator=torch.Generator().manual_seed(2)
    )
    assert any(
        "Duration" in a and "Velocity" in b
        for result in free
        for a, b in zip(result.text.split(), result.text.split()[1:], strict=False)
    )


@pytest.mark.parametrize(
    ("asked", "options", "message"),
    [
        (["Bar_Nine"], {}, "no token 'Bar_Nine'"),
        ([torch.tensor([413])], {}, "other numbers"),
        ([torch.zeros(2, 2)], {}, "other numbers"),
        ([torch.full((96,), 30)], {}, "leaves no room"),
        (["BOS"], {"guard": "fence"}, "no guard"),
        (["BOS"], {"speed": 3}, "no option speed"),
    ],
)
def test_bad_requests(asked: list[str | Tensor], options: dict[str, object], message: str) -> None:
    with pytest.raises(MusicZooError, match=message):
        module().generate(asked, **options)
    assert module().generate([]) == []


def test_a_sequence_longer_than_the_context_is_refused() -> None:
    model = module()
    with pytest.raises(MusicZooError, match="does not fit"):
        model.log_probs(model.representation.collate([torch.full((97,), 30)]))


def test_progress_is_the_text_so_far_and_stops_a_piece() -> None:
    model = module()
    texts: list[list[str]] = [[] for _ in range(5)]

    def watch(number: int, text: str) -> bool | None:
        texts[number].append(text)
        return False if number == 1 and len(texts[1]) == 4 else None

    results = sample(model, on_progress=watch)
    assert results[1].stop == "cancelled"
    assert int(results[1].scored.sum()) == 4
    for number, result in enumerate(results):
        assert texts[number][-1] == result.text
        assert len(texts[number]) == int(result.scored.sum())
    undisturbed = sample(model)
    assert [result.text for result in results if result.stop != "cancelled"] == [
        other.text for number, other in enumerate(undisturbed) if number != 1
    ]
