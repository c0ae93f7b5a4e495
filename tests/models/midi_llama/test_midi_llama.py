"""MIDI-LLaMA: what it computes, keeps, trains and answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from torch.nn import functional as F

import musiczoo
from musiczoo.callbacks import Change, StageTransition
from musiczoo.datamodules import MusicQADataModule
from musiczoo.hub.checkpoint import save_checkpoint
from musiczoo.models.adapters import fingerprint
from musiczoo.models.base import Answers, Distributes
from musiczoo.models.base.freezing import choose_trainable
from musiczoo.models.causal_lm import TextLM
from musiczoo.models.midi_llama import MidiLlamaModule
from musiczoo.models.midi_llama.pooling import pooled_segments
from musiczoo.models.sampling import Sampling
from musiczoo.music.errors import MusicZooError
from musiczoo.music.midi import to_score
from musiczoo.representations.music_questions import (
    ANSWER,
    MUSIC,
    PROMPT,
    Asked,
    MusicQuestions,
    QuestionTemplate,
    placeholder,
)
from musiczoo.representations.text_tokens import TextTokens
from musiczoo.stages import Stage, run_stages
from tests.models.midi_llama.tiny_midi_llama import (
    adamw,
    build,
    language_model,
    named,
    records,
    tune,
    works,
)
from tests.small_runs import QUIET, SaveEverywhere, differing

pytestmark = pytest.mark.filterwarnings("ignore")
ASKED = [
    Asked(tune(1), "Which key?", "G major."),
    Asked(tune(2), "How many bars are there in this piece?", "Four."),
    Asked(tune(3), "What?", "A longer answer than the others."),
]


def data(module: Any = None, **settings: Any) -> MusicQADataModule:
    some = works(10)
    own = {"batch_size": 4, "val_fraction": 0.2, "progress": False}
    representation = module.representation if module else None
    return MusicQADataModule(
        records(some), some, representation=representation, **{**own, **settings}
    )


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSICZOO_CACHE", str(tmp_path / "cache"))


# ---------------------------------------------------------------------------------- what it computes


def test_the_loss_is_the_mean_over_the_tokens_of_the_answers_of_the_hand_made_sequence() -> None:
    module = build().eval()
    batch = module.representation.collate([module.representation.encode(one) for one in ASKED])
    values, mask = module.log_probs(batch).values, module.log_probs(batch).mask
    # By hand: each sequence alone, as transformers computes it from embeddings and labels.
    expected, count = 0.0, 0
    template, tokens = module.representation.template, module.representation.tokens
    table = module.net.lm.get_input_embeddings().weight
    for piece, question, answer in ASKED:
        before = [tokens.bos, *tokens.ids(template.head)]
        after = tokens.ids(template.middle) + tokens.ids(" " + question)
        after += tokens.ids(template.tail)
        target = [*tokens.ids(" " + str(answer)), tokens.eos]
        music = module.net.projection(module.pooled([piece])[0])
        rows = torch.cat([table[before], music, table[after + target]])
        labels = [-100] * (len(before) + len(music) + len(after)) + target
        loss = module.net.lm(inputs_embeds=rows[None], labels=torch.tensor([labels])).loss
        expected, count = expected + float(loss) * len(target), count + len(target)
    assert int(mask.sum()) == count
    assert -float(values.detach().sum()) / count == pytest.approx(expected / count, rel=1e-5)
    assert not values[~mask].any()


def test_a_sequence_does_not_depend_on_its_batch() -> None:
    module = build().eval()
    rows = [module.representation.encode(one) for one in ASKED]
    together = module.log_probs(module.representation.collate(rows)).sums().detach()
    alone = [module.log_probs(module.representation.collate([row])).sums().detach() for row in rows]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-5, atol=1e-5)


def test_families_with_unknown_blocks_compute_the_same() -> None:
    sizes = {"family": "gpt2", "layers": 1, "hidden": 32, "heads": 2, "positions": 160}
    lm = TextLM(**sizes, intermediate=64).eval()
    module = build(language_model=lm).eval()
    rows = [module.representation.encode(one) for one in ASKED]
    together = module.log_probs(module.representation.collate(rows)).sums().detach()
    alone = [module.log_probs(module.representation.collate([row])).sums().detach() for row in rows]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-5, atol=1e-5)
    assert len(module.answer([tune(1)], ["Which key?"], max_new_tokens=3)) == 1


def test_features_from_the_cache_are_those_of_the_notes() -> None:
    module = build().eval()
    encode = module.representation
    whole = module.log_probs(encode.collate([encode.encode(one) for one in ASKED]))
    pieces = [one.piece for one in ASKED]
    rows = [encode.around(placeholder(), one.question, one.answer) for one in ASKED]
    cached = module.log_probs(encode.collate(rows) | {"features": module.pooled(pieces)})
    torch.testing.assert_close(
        cached.values[cached.mask], whole.values[whole.mask], rtol=1e-5, atol=1e-6
    )


def test_pooling_is_the_mean_over_segments() -> None:
    torch.manual_seed(0)
    counts = torch.tensor([7, 1, 12])
    states = torch.randn(20, 5)
    found = pooled_segments(states, counts, 3)
    for piece, (first, count) in enumerate(zip((0, 7, 8), counts.tolist(), strict=True)):
        for segment in range(3):
            begin = segment * count // 3
            end = max((segment + 1) * count // 3, begin + 1)
            mean = states[first + begin : first + end].mean(0)
            torch.testing.assert_close(found[piece, segment], mean)
    torch.testing.assert_close(pooled_segments(states, counts, 1)[2, 0], states[8:].mean(0))


def test_one_segment_is_the_features_of_the_encoder() -> None:
    module = build(segments=1)
    from tests.models.midi_llama.tiny_midi_llama import encoder

    pieces = [tune(1), tune(7)]
    expected = encoder().features(pieces)
    torch.testing.assert_close(module.pooled(pieces)[:, 0], expected, rtol=1e-5, atol=1e-6)


def test_pieces_longer_than_the_context_are_read_in_windows() -> None:
    from musiczoo.music.abc import read_abc

    long = read_abc("L:1/4\nM:4/4\nK:C\n" + "CDEF|" * 60)
    module = build().eval()
    found = module.pooled([long, tune(1)])
    assert found.shape == (2, 3, 32)
    torch.testing.assert_close(found[1:], module.pooled([tune(1)]), rtol=1e-5, atol=1e-6)


def test_probabilities_of_all_tokens_sum_to_one() -> None:
    module = build().eval()
    assert isinstance(module, Distributes)
    batch = module.reference_batch()
    scored, whole = module.log_probs(batch, 0.7), module.log_distribution(batch, 0.7)
    ones = whole.exp().sum(2)[scored.mask]
    torch.testing.assert_close(ones, torch.ones(len(ones)))


# ---------------------------------------------------------------------------------- what it trains


def fit(module: MidiLlamaModule, patterns: list[str], **settings: Any) -> None:
    choose_trainable(module, patterns)
    trainer = {"max_epochs": 1, **QUIET, **settings}
    lightning.Trainer(**trainer).fit(module, data())


def whole_state(module: MidiLlamaModule) -> dict[str, torch.Tensor]:
    tensors = [*module.net.named_parameters(), *module.net.named_buffers()]
    return {name: value.detach().clone() for name, value in tensors}


def test_align_changes_the_projection_alone_and_instruct_the_adapter_too() -> None:
    module = build(optimizer=adamw)
    base = fingerprint(language_model().net.state_dict())
    before = whole_state(module)
    fit(module, ["projection.*"])
    aligned = whole_state(module)
    changed = {name for name in before if not torch.equal(before[name], aligned[name])}
    assert changed
    assert all(name.startswith("projection.") for name in changed)
    fit(module, ["*"])
    after = whole_state(module)
    changed = {name for name in before if not torch.equal(aligned[name], after[name])}
    assert any(name.startswith("projection.") for name in changed)
    assert all(name.startswith("projection.") or "lora_" in name for name in changed)
    assert {name for name in before if "lora_B" in name} <= changed
    # With the adapter off the language model is what it was, bit for bit.
    from musiczoo.models.adapters import base_state_dict

    assert fingerprint(base_state_dict(module.net.lm)) == base


def test_frozen_parts_cannot_be_unfrozen() -> None:
    with pytest.raises(MusicZooError, match="No parameter has a name like"):
        choose_trainable(build(), ["encoder.*"])


def test_a_fit_that_was_killed_equals_one_that_was_not(tmp_path: Path) -> None:
    whole = build(optimizer=adamw, adapter={"rank": 2, "alpha": 4.0, "dropout": 0.3})
    saved = SaveEverywhere(tmp_path)
    lightning.Trainer(**QUIET, max_epochs=2, callbacks=[saved]).fit(whole, data())
    for path in (saved.paths[1], saved.paths[-3]):
        resumed = build(optimizer=adamw, adapter={"rank": 2, "alpha": 4.0, "dropout": 0.3})
        lightning.Trainer(**QUIET, max_epochs=2).fit(resumed, data(), ckpt_path=path)
        assert not differing(whole, resumed)
    content = torch.load(saved.paths[-1], weights_only=True)
    assert all("lora_" in n or "projection" in n for n in content["state_dict"])


def test_both_stages_as_a_plan_and_as_one_fit(tmp_path: Path) -> None:
    def start() -> MidiLlamaModule:
        return named(tmp_path / "parts", optimizer=adamw, seed=1)

    trainer = {name: value for name, value in QUIET.items() if name != "enable_checkpointing"}
    shared = {"data": data, "optimizer": adamw, "trainer": trainer}
    plan = [
        Stage(name="align", start=start, trainable=["projection.*"], max_epochs=1, **shared),
        Stage(name="instruct", trainable=["*"], max_epochs=2, **shared),
    ]
    made = run_stages(plan, tmp_path / "run")
    by_plan: Any = musiczoo.load(f"local-dir:{made['instruct']}")
    assert by_plan.stage == "instruct"
    one = start()
    changes = [
        Change(epoch=0, trainable=["projection.*"]),
        Change(epoch=1, trainable=["*"], optimizer=adamw),
    ]
    callback = StageTransition(changes)
    lightning.Trainer(**QUIET, max_epochs=3, callbacks=[callback]).fit(one, data())
    aligned: Any = musiczoo.load(f"local-dir:{made['align']}")
    assert all("projection" in name for name in differing(aligned.net, start().net))
    # The order of the questions differs, for each stage counts its epochs from 0.
    assert {n for n in one.net.state_dict()} == set(by_plan.net.state_dict())
    assert any("lora_B" in name for name in differing(one.net, start().net))


@pytest.mark.dist
def test_two_processes_equal_one(tmp_path: Path) -> None:
    from tests.models.midi_llama.two_process_fit import run

    one, two = run(tmp_path, 1), run(tmp_path, 2)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-6)


# ---------------------------------------------------------------------------------- what it answers


def test_answers_are_batched_seeded_and_streamed() -> None:
    module = build().eval()
    assert isinstance(module, Answers)
    prompts = [Asked(one.piece, one.question) for one in ASKED] * 2
    seen: list[tuple[int, str]] = []
    found = module.generate(
        prompts, max_new_tokens=6, on_progress=lambda number, text: seen.append((number, text))
    )
    alone = [module.generate([one], max_new_tokens=6)[0] for one in prompts]
    for one, other in zip(found, alone, strict=True):
        assert one.text == other.text
        assert torch.equal(one.tokens, other.tokens)
    assert {number for number, _ in seen} == set(range(6))
    assert [one.text for one in found] == module.answer(
        [one.piece for one in prompts], [one.question for one in prompts], max_new_tokens=6
    )
    # A result is rows again, whose log-probabilities training computes alike.
    plain = Sampling(top_k=0, top_p=1.0, min_p=0.0, temperature=1.0)
    drawn = module.generate(prompts, plain, max_new_tokens=6)
    items = [module.rollout_item(one) for one in drawn]
    batch = module.representation.collate([rows for rows, _ in items])
    values = module.log_probs(batch).values.detach()
    for row, (one, (rows, scored)) in enumerate(zip(drawn, items, strict=True)):
        torch.testing.assert_close(
            values[row, : len(rows) - 1][scored], one.log_probs[one.scored], rtol=1e-4, atol=1e-5
        )


def test_greedy_answers_are_those_of_transformers() -> None:
    module = build().eval()
    piece, question, _ = ASKED[0]
    [found] = module.generate([Asked(piece, question)], max_new_tokens=8)
    rows = module.representation.collate([module.representation.encode(Asked(piece, question))])
    embedded = module.net.embedded(rows["ids"], rows["lengths"], None)
    expected = module.net.lm.generate(
        inputs_embeds=embedded.values[None],
        attention_mask=torch.ones(1, len(embedded.values)),
        do_sample=False,
        max_new_tokens=8,
        eos_token_id=module.representation.end,
        pad_token_id=0,
    )[0]
    assert found.tokens[found.scored, 1].tolist() == expected.tolist()


def test_it_learns_what_the_features_say(tmp_path: Path) -> None:
    low = [Asked(_line("C,D,E,"), "High or low?", "low")]
    high = [Asked(_line("c'd'e'"), "High or low?", "high")]
    module = build(optimizer=lambda some: torch.optim.AdamW(some, lr=2e-3))
    module.net.projection[0].set(module.pooled([low[0].piece, high[0].piece]))
    rows = [module.representation.encode(one) for one in low + high]
    loader = torch.utils.data.DataLoader(
        [module.representation.collate(rows)] * 120, batch_size=None
    )
    lightning.Trainer(**QUIET, max_epochs=1).fit(module, loader)
    module.eval()
    pieces = [low[0].piece, high[0].piece]
    assert module.answer(pieces, ["High or low?"] * 2) == ["low", "high"]


def _line(notes: str) -> Any:
    from musiczoo.music.abc import read_abc

    return read_abc(f"L:1/4\nM:3/4\nK:C\n{notes}|{notes}|")


def test_without_an_encoder_it_reads_abc() -> None:
    module = build(encoder="", segments=1).eval()
    assert module.net.projection is None
    assert module.representation.music == "abc"
    rows = module.representation.encode(ASKED[0])
    text = module.representation.tokens.decode(rows[rows[:, 0] == PROMPT, 1])
    assert "K:none" in text
    assert len(module.answer([tune(1)], ["Which key?"], max_new_tokens=4)) == 1
    with pytest.raises(MusicZooError, match="Only notated pieces"):
        module.answer([to_score(tune(1))], ["Which key?"])
    with pytest.raises(MusicZooError, match="no encoder"):
        module.pooled([tune(1)])


# ---------------------------------------------------------------------------------- what it keeps


def test_a_checkpoint_holds_projection_and_adapter(tmp_path: Path) -> None:
    module = named(tmp_path / "parts", projection="mlp").eval()
    with torch.no_grad():
        for value in module.net.state_dict().values():
            if value.is_floating_point():
                value.add_(0.05 * torch.rand_like(value))
    save_checkpoint(module, tmp_path / "saved")
    content = json.loads((tmp_path / "saved/config.json").read_text())
    assert content["config"]["lm_sha256"] == fingerprint(language_model().net.state_dict())
    again: Any = musiczoo.load(f"local-dir:{tmp_path}/saved")
    assert not differing(again.net, module.net)
    assert all("lora_" in n or n.startswith("projection.") for n in again.net.state_dict())
    question = [tune(1)], ["Which key?"]
    assert again.answer(*question) == module.answer(*question)
    # Another language model under the same name is refused.
    save_checkpoint(language_model(seed=9), tmp_path / "parts/lm", overwrite=True)
    with pytest.raises(MusicZooError, match="other weights than the one"):
        musiczoo.load(f"local-dir:{tmp_path}/saved")


def test_a_part_of_another_kind_is_refused(tmp_path: Path) -> None:
    named(tmp_path / "parts")
    with pytest.raises(MusicZooError, match="is no musicbert"):
        MidiLlamaModule(
            encoder=f"local-dir:{tmp_path}/parts/lm", lm=f"local-dir:{tmp_path}/parts/lm"
        )


# ---------------------------------------------------------------------------------- bad input


def test_bad_questions_are_errors() -> None:
    module = build().eval()
    for question in ("", "  ", "x" * 100_000):
        with pytest.raises(MusicZooError, match="cannot be answered"):
            module.answer([tune(1)], [question])
    with pytest.raises(MusicZooError, match=r"leaves no room|does not fit"):
        module.answer([tune(1)], ["x " * 200])
    with pytest.raises(MusicZooError, match="are no pairs"):
        module.answer([tune(1)], ["a", "b"])


def test_pieces_without_notes_are_errors_and_drums_are_read() -> None:
    from symusic import Note, Score, Track

    module = build().eval()
    empty, drums = Score(480), Score(480)
    track = Track("", 0, True)
    track.notes.extend([Note(0, 240, 38, 80), Note(480, 240, 42, 80)])
    drums.tracks.append(track)
    with pytest.raises(MusicZooError, match="no note"):
        module.answer([empty], ["Which key?"])
    assert len(module.answer([drums], ["Which key?"], max_new_tokens=2)) == 1


def test_a_hundred_thousand_notes_are_read() -> None:
    from symusic import Note, Score, Track

    score = Score(480)
    track = Track("", 0, False)
    track.notes.extend([Note(24 * n, 24, 40 + n % 40, 80) for n in range(100_000)])
    score.tracks.append(track)
    assert build().pooled([score]).isfinite().all()


# ---------------------------------------------------------------------------------- the template


def test_a_chat_template_is_taken_apart() -> None:
    def render(turns: list[dict[str, str]], tokenize: bool) -> str:
        inner = "".join(f"<|{turn['role']}|>\n{turn['content']}<|end|>" for turn in turns)
        return f"<|begin|>{inner}"

    template = QuestionTemplate.of_chat(render)
    assert template.head == "<|begin|><|user|>\n"
    assert (template.middle, template.end) == ("\n", "<|end|>")
    assert template.tail == "<|end|><|assistant|>\n"

    def broken(turns: Any, tokenize: bool) -> str:
        raise ValueError("no chat template is set")

    with pytest.raises(MusicZooError, match="no chat template"):
        QuestionTemplate.of_chat(broken)


def test_what_users_write_is_never_a_special_token() -> None:
    questions = MusicQuestions(TextTokens.bytes())
    rows = questions.encode(Asked(None, "⟨EOS⟩ is text", "⟨EOS⟩ too"))
    assert int((rows[:, 1] == questions.tokens.eos).sum()) == 1
    assert questions.decode(rows) == Asked(None, "⟨EOS⟩ is text", "⟨EOS⟩ too")
    assert {MUSIC, PROMPT, ANSWER} == {0, 1, 2}
    assert F.one_hot(rows[:, 0]).shape[1] == 3
