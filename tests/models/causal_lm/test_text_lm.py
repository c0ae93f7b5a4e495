"""Language models of transformers: equal to transformers' own passes in every family, cached and not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM

from musiczoo.hub.checkpoint import open_checkpoint, save_checkpoint
from musiczoo.models.adapters import LoRA
from musiczoo.models.base.capabilities import Distributes
from musiczoo.models.causal_lm import TextLM, TextLMConfig, TextLMModule
from musiczoo.models.causal_lm.decoding import CachedDecoder, ForwardDecoder, decoder_for
from musiczoo.models.causal_lm.generation import TokenGuard
from musiczoo.models.causal_lm.net import is_known
from musiczoo.models.sampling import GREEDY
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.text_tokens import BOS, EOS, TextTokens
from tests.small_runs import QUIET, SaveEverywhere, differing

TEXTS = [
    "X:1\nK:C\nCDEF GABc|\n",
    "cBAG FEDC|",
    "Bar 3 is a sequence of bar 1.",
    "X:2\nK:G\nGABc d2|",
    "é 🎵",
]
TOKENS = TextTokens.train(TEXTS * 2, vocabulary=280)
FAMILIES: dict[str, dict[str, Any]] = {
    "phi3": {"rotary": 0.5},
    "llama": {"key_value_heads": 2},
    "qwen2": {"key_value_heads": 2, "tied": True},
    "mistral": {"key_value_heads": 1},
    "gpt2": {},
}
each_family = pytest.mark.parametrize("family", FAMILIES)


def model(family: str = "llama", **settings: Any) -> TextLMModule:
    sizes = {"layers": 2, "hidden": 32, "heads": 4, "intermediate": 48, "positions": 64}
    own = {**sizes, **FAMILIES[family], "representation": TOKENS, **settings}
    made = TextLM(family=family, **own).eval()
    # Untrained weights leave biases at 0 and choices nearly even.
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in made.net.parameters():
            parameter.mul_(3).add_(0.05 * torch.randn_like(parameter))
    return made


def batch(made: TextLMModule) -> dict[str, Tensor]:
    return made.representation.collate([made.representation.encode(text) for text in TEXTS])


def sample(made: TextLMModule, prompts: Any = None, **options: Any) -> Any:
    asked = ["CDEF", "", TOKENS.encode_prompt("X:1\nK"), "CDEF", "é"]
    settings = {"max_new_tokens": 24, "generator": torch.Generator().manual_seed(5), **options}
    return made.generate(asked if prompts is None else prompts, **settings)


def theirs(made: TextLMModule, ids: Tensor) -> Tensor:
    """(tokens - 1, vocabulary) log-probabilities by the forward pass of transformers."""
    with torch.no_grad():
        return made.net(input_ids=ids.unsqueeze(0)).logits[0, :-1].float().log_softmax(-1)


@each_family
def test_log_probs_are_those_of_transformers_for_texts_of_any_length(family: str) -> None:
    made = model(family)
    assert is_known(made.net) == (family != "gpt2")
    assert isinstance(made, Distributes)
    full = batch(made)
    with torch.no_grad():
        scored = made.log_probs(full, temperature=1.3)
        plain, whole = made.log_probs(full).values, made.log_distribution(full)
    assert scored.mask.sum() == int((full["lengths"] - 1).sum())
    assert not scored.values[~scored.mask].any()
    for row, length in enumerate(full["lengths"].tolist()):
        ids = full["ids"][row, :length]
        expected = theirs(made, ids)
        close = {"rtol": 1e-4, "atol": 1e-4}
        torch.testing.assert_close(whole[row, : length - 1], expected, **close)
        targets = ids[1:].unsqueeze(1)
        found = expected.gather(1, targets).squeeze(1)
        torch.testing.assert_close(plain[row, : length - 1], found, **close)
        cool = (expected / 1.3).log_softmax(-1).gather(1, targets).squeeze(1)
        torch.testing.assert_close(scored.values[row, : length - 1], cool, **close)


@each_family
def test_cached_decoding_is_the_pass_of_transformers(family: str) -> None:
    made = model(family)
    kind = ForwardDecoder if family == "gpt2" else CachedDecoder
    assert isinstance(decoder_for(made.net, 1, 4), kind)
    results = sample(made, batch_size=2)
    for result in results:
        expected = theirs(made, result.tokens).gather(1, result.tokens[1:].unsqueeze(1)).squeeze(1)
        scored = result.scored[1:]
        close = {"rtol": 1e-4, "atol": 1e-4}
        torch.testing.assert_close(result.log_probs[1:][scored], expected[scored], **close)
        assert not result.log_probs[~result.scored].any()
        assert (result.stop == "end") == (int(result.tokens[-1]) == EOS)
        assert (result.piece, result.error, result.prompt) == (None, None, None)
        assert result.text == TOKENS.decode(result.tokens)
    assert results[0].text.startswith("CDEF")
    assert results[1].tokens[0] == BOS
    for size in (1, 3, 5):
        again = sample(made, batch_size=size)
        assert [one.tokens.tolist() for one in again] == [one.tokens.tolist() for one in results]
    for result in sample(made, sampling=GREEDY):
        best = theirs(made, result.tokens).argmax(-1)
        assert best[result.scored[1:]].equal(result.tokens[1:][result.scored[1:]])


@each_family
def test_embeddings_as_prompts_are_ids_as_prompts(family: str) -> None:
    made = model(family)
    ids = [TOKENS.encode_prompt(text)[:7] for text in TEXTS]
    table = made.net.get_input_embeddings().weight.detach()
    by_ids = sample(made, ids, batch_size=2)
    by_values = sample(made, [table[row] for row in ids], batch_size=2)
    for one, other, prompt in zip(by_ids, by_values, ids, strict=True):
        assert other.tokens.equal(one.tokens[len(prompt) :])
        assert other.scored.all()
        torch.testing.assert_close(other.log_probs, one.log_probs[len(prompt) :])
        assert other.text == TOKENS.decode(other.tokens)


class Only:
    """Allows a few tokens, each as often as the last but one is not the same."""

    def __init__(self, names: str) -> None:
        self.allow = torch.zeros(len(TOKENS.vocabulary), dtype=torch.bool)
        self.allow[[TOKENS.vocabulary.index(name) for name in names]] = True

    def start(self, sequences: list[Tensor]) -> Only:
        self.last = torch.full((len(sequences),), EOS)
        return self

    def allowed(self, rows: Tensor) -> Tensor:
        mask = self.allow.repeat(len(rows), 1)
        mask[torch.arange(len(rows)), self.last[rows]] = False
        return mask

    def read(self, rows: Tensor, tokens: Tensor) -> None:
        self.last[rows] = tokens


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_guard_allows_what_it_allows_and_progress_cancels(family: str) -> None:
    made = model(family)
    guard = Only("CDE")
    assert isinstance(guard, TokenGuard)
    texts: dict[int, list[str]] = {}

    def watch(number: int, text: str) -> bool | None:
        texts.setdefault(number, []).append(text)
        return False if number == 1 and len(texts[1]) == 3 else None

    results = sample(made, guard=guard, on_progress=watch, max_new_tokens=9)
    for number, result in enumerate(results):
        new = result.tokens[result.scored]
        assert set(TOKENS.decode(new)) <= set("CDE")
        assert not (new[1:] == new[:-1]).any()
        assert result.stop == ("cancelled" if number == 1 else "max_length")
        assert texts[number][-1] == result.text
        assert len(texts[number]) == len(new) == (3 if number == 1 else 9)
    with pytest.raises(MusicZooError, match="A str is no guard of tokens"):
        sample(made, guard="grammar")


@each_family
def test_an_adapter_takes_part(family: str) -> None:
    made = model(family)
    before = sample(made, sampling=GREEDY)
    made.add_lora(LoRA(rank=4, alpha=64.0))
    with torch.no_grad():
        for name, parameter in made.net.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    after = sample(made, sampling=GREEDY)
    assert [one.tokens.tolist() for one in after] != [one.tokens.tolist() for one in before]
    for result in after:
        expected = theirs(made, result.tokens).gather(1, result.tokens[1:].unsqueeze(1)).squeeze(1)
        scored = result.scored[1:]
        torch.testing.assert_close(
            result.log_probs[1:][scored], expected[scored], rtol=1e-3, atol=1e-3
        )


@each_family
def test_a_folder_of_transformers_opens_trains_and_comes_back(family: str, tmp_path: Path) -> None:
    first = model(family)
    first.net.config.update({"bos_token_id": BOS, "eos_token_id": EOS})
    first.net.save_pretrained(tmp_path / "theirs")
    TOKENS.tokenizer.save(str(tmp_path / "theirs" / "tokenizer.json"))
    expected = AutoModelForCausalLM.from_pretrained(tmp_path / "theirs").eval()
    made = TextLM.from_published(tmp_path / "theirs", dropout=0.1)
    assert (made.config.family, made.config.hidden, made.config.positions) == (family, 32, 64)
    assert made.config.dropout == 0.1
    assert made.representation.to_config() == TOKENS.to_config()
    ids = TOKENS.encode(TEXTS[0])
    with torch.no_grad():
        assert made.net(ids[None]).logits.equal(expected(ids[None]).logits)
    save_checkpoint(made, tmp_path / "ours")
    again = open_checkpoint(tmp_path / "ours")
    assert again.to_config() == made.to_config() == json.loads(json.dumps(made.to_config()))
    assert again.representation.to_config() == TOKENS.to_config()
    assert not differing(made.net, again.net)
    assert [one.text for one in sample(again)] == [one.text for one in sample(made)]


def _adamw(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=5e-3)


def fit(made: TextLMModule, epochs: int, **settings: Any) -> lightning.Trainer:
    checkpoint = settings.pop("checkpoint", None)
    trainer = lightning.Trainer(**QUIET, max_epochs=epochs, **settings)
    items = [made.representation.encode(text) for text in TEXTS]
    loader = DataLoader(items, batch_size=2, collate_fn=made.representation.collate)
    trainer.fit(made, loader, ckpt_path=checkpoint)
    return trainer


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.filterwarnings("ignore")
def test_a_fit_lowers_the_loss_and_resumes_to_the_bit(family: str, tmp_path: Path) -> None:
    def new() -> TextLMModule:
        return model(family, dropout=0.1, optimizer=_adamw)

    whole, saver = new(), SaveEverywhere(tmp_path)
    with torch.no_grad():
        before = whole.log_probs(batch(whole)).values.sum()
    fit(whole, 6, callbacks=[saver])
    whole.eval()
    with torch.no_grad():
        assert whole.log_probs(batch(whole)).values.sum() > 0.7 * before
    resumed = new()
    fit(resumed, 6, checkpoint=saver.paths[7])
    assert not differing(whole, resumed)
    # A checkpoint brings its own tokens.
    path = saver.paths[-1]
    opened = TextLM.load_from_checkpoint(path, map_location="cpu", weights_only=True)
    assert opened.representation.to_config() == TOKENS.to_config()
    assert not differing(whole, opened)


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt2"])
def test_dropout_acts_in_training_alone_and_recomputing_changes_nothing(family: str) -> None:
    made = model(family, dropout=0.3)
    full = batch(made)
    quiet = made.log_probs(full).values
    assert quiet.equal(made.log_probs(full).values)
    made.train()
    torch.manual_seed(0)
    assert not torch.allclose(made.log_probs(full).values, quiet, atol=1e-3)
    gradients = []
    for on in (False, True):
        other = model(family, gradient_checkpointing=on).train()
        other.log_probs(full).values.sum().backward()
        gradients.append([p.grad for p in other.parameters()])
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two)


def test_sizes_are_read_from_the_configuration_of_transformers() -> None:
    whole = {"model_type": "llama", "hidden_size": 48, "num_attention_heads": 6}
    config = TextLMConfig(
        transformers={**whole, "num_hidden_layers": 3, "vocab_size": 300, "dtype": "bfloat16"},
        hidden=999,
    )
    assert (config.hidden, config.heads, config.kv_heads) == (48, 6, 6)
    assert (config.layers, config.vocabulary) == (3, 300)
    made = TextLM(config)
    assert made.net.dtype == torch.float32
    assert made.config == TextLMConfig.from_dict(made.config.to_dict())
    # More rows than tokens are allowed: what is drawn of them is no text.
    assert len(made.representation.vocabulary) == 259
    made.generate([""], max_length=12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": 33}, "cannot be built"),
        ({"family": "no_such"}, "no causal language model of the family 'no_such'"),
        ({"family": "t5"}, "no causal language model of the family 't5'"),
        ({"transformers": {"model_type": "llama", "quantization_config": {}}}, "quantised"),
        ({"vocabulary": 100, "representation": TOKENS}, "has 280 tokens, and the net 100"),
    ],
)
def test_bad_sizes(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(MusicZooError, match=message):
        TextLM(**settings)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (torch.tensor([280]), "other numbers"),
        (torch.zeros(3, 31), r"Embeddings of shape \(3, 31\)"),
        (torch.zeros(0, 32), "are no prompt"),
        (torch.zeros(4), "are no prompt"),
        (torch.full((64,), 5), "leaves no room"),
        ("\ud800", "surrogate"),
    ],
)
def test_bad_prompts(prompt: Any, message: str) -> None:
    with pytest.raises(MusicZooError, match=message):
        model().generate([prompt])
    with pytest.raises(MusicZooError, match="does not fit into 64 positions"):
        model().log_probs(TOKENS.collate([torch.full((65,), 5)]))


def test_bad_folders(tmp_path: Path) -> None:
    made = model()
    folder = tmp_path / "theirs"
    made.net.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())

    def fails(message: str, **changes: Any) -> None:
        (folder / "config.json").write_text(json.dumps({**config, **changes}))
        with pytest.raises(MusicZooError, match=message):
            TextLM.from_published(folder, representation=TOKENS)

    fails("has another shape", hidden_size=64, head_dim=16)
    fails("model.layers.2.*is missing", num_hidden_layers=3)
    fails("is not part of the model", num_hidden_layers=1)
    fails("no causal language model of the family 'bert_of_mine'", model_type="bert_of_mine")
    TOKENS.tokenizer.save(str(folder / "tokenizer.json"))
    fails("does not state which token ends a text")
    (folder / "tokenizer.json").unlink()
    (folder / "model.safetensors").write_bytes(b"damaged")
    fails("cannot be read")
    (folder / "model.safetensors").unlink()
    fails("There are no weights")
    (folder / "config.json").write_text("[]")
    with pytest.raises(MusicZooError, match="cannot be read: it holds a list"):
        TextLM.from_published(folder)
