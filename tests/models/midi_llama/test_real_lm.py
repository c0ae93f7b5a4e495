"""Both stages beside a Llama of 100 million parameters, with a tokenizer and a chat template of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import musiczoo
from musiczoo.datamodules import MusicQADataModule
from musiczoo.models.adapters import base_state_dict, fingerprint
from musiczoo.models.midi_llama import MidiLlamaModule
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.music_questions import ANSWER, MUSIC, PROMPT, Asked
from musiczoo.stages import Stage, run_stages
from tests.models.midi_llama.tiny_midi_llama import records, tune, works
from tests.small_runs import QUIET

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|start|>{{ message['role'] }}<|stop|>\n\n"
    "{{ message['content'] }}<|eot|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant<|stop|>\n\n{% endif %}"
)


def write_llama(folder: Path, template: str | None = TEMPLATE, **sizes: int) -> str:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|begin|>", "<|end|>", "<|start|>", "<|stop|>", "<|eot|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        ["Which key is it in?", "How many bars are there?"] * 9,
        trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet),
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|begin|>", eos_token="<|end|>"
    )
    if template:
        fast.chat_template = template
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        **{
            "vocab_size": 32_000,
            "hidden_size": 640,
            "num_hidden_layers": 12,
            "num_attention_heads": 10,
            "num_key_value_heads": 5,
            "intermediate_size": 1_920,
            "max_position_embeddings": 512,
            **sizes,
        },
        bos_token_id=0,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)


def test_both_stages(tmp_path: Path) -> None:
    lm = write_llama(tmp_path / "llama")
    some = works(6)

    def start() -> MidiLlamaModule:
        return MidiLlamaModule(lm=lm, template="chat", segments=2, seed=1)

    module = start()
    base = fingerprint(base_state_dict(module.net.lm))
    count = sum(p.numel() for n, p in module.net.lm.named_parameters() if "lora_" not in n)
    assert 90e6 < count < 110e6
    # The template: what is around music, question and answer, with its special tokens.
    representation = module.representation
    tokens = representation.tokens
    rows = representation.encode(Asked(tune(1), "Which key? <|eot|>", "C."))
    assert rows[0, 1] == tokens.special("<|begin|>")
    text = tokens.tokenizer.decode(
        rows[rows[:, 0] == PROMPT, 1].tolist(), skip_special_tokens=False
    )
    assert text.startswith("<|begin|><|start|>user<|stop|>\n\n\nWhich key?")
    assert text.endswith("<|eot|><|start|>assistant<|stop|>\n\n")
    eot = tokens.special("<|eot|>")
    written = rows[rows[:, 0] != MUSIC, 1]
    assert int((written == eot).sum()) == 2  # that of the user's turn, and that of the answer
    assert rows[-1, 1] == eot
    batch = representation.collate([rows, rows[:-1]])
    scored = module.log_probs(batch)
    assert scored.mask.sum(1).tolist() == [int((rows[:, 0] == ANSWER).sum()), 2]
    # Both stages.
    data = lambda: MusicQADataModule(  # noqa: E731
        records(some), some, batch_size=6, val_fraction=0.0, progress=False, cache=tmp_path
    )
    trainer = {name: value for name, value in QUIET.items() if name != "enable_checkpointing"}
    adamw = lambda parameters: torch.optim.AdamW(parameters, lr=1e-3)  # noqa: E731
    shared: dict[str, Any] = {"data": data, "optimizer": adamw, "trainer": trainer, "max_steps": 2}
    plan = [
        Stage(name="align", start=start, trainable=["projection.*"], **shared),
        Stage(name="instruct", trainable=["*"], **shared),
    ]
    made = run_stages(plan, tmp_path / "run")
    tuned: Any = musiczoo.load(f"local-dir:{made['instruct']}")
    again: Any = musiczoo.load(f"local-dir:{made['instruct']}")
    assert fingerprint(base_state_dict(tuned.net.lm)) == base
    size = sum(file.stat().st_size for file in made["instruct"].rglob("*.safetensors"))
    assert size < 20e6
    asked = ([tune(1), tune(2), tune(1)], ["Which key?", "How many bars?", "Which key?"])
    first = tuned.answer(*asked, max_new_tokens=6)
    assert first == again.answer(*asked, max_new_tokens=6)
    assert any(bool((v != 0).any()) for n, v in tuned.net.state_dict().items() if "lora_B" in n)


def test_a_language_model_without_a_chat_template(tmp_path: Path) -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes |= {"num_key_value_heads": 2, "intermediate_size": 48, "vocab_size": 400}
    lm = write_llama(tmp_path / "llama", template=None, **sizes)
    with pytest.raises(MusicZooError, match="no chat template"):
        MidiLlamaModule(lm=lm, template="chat")
    # It has no token for padding either, and needs none.
    module = MidiLlamaModule(lm=lm).eval()
    assert len(module.answer([tune(1)], ["Which key?"], max_new_tokens=3)) == 1
