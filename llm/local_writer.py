"""A local model of transformers as a writer, where no endpoint is wanted."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from musiczoo.llm.schema import Schema, instruction
from musiczoo.llm.writer import CheckedWriter, Completion, Message
from musiczoo.music.errors import MusicZooError


class LocalWriter(CheckedWriter):
    """A writer that runs a causal language model of transformers in this process.

    It takes the most probable token at each step, which is temperature 0, and one request at a
    time. No code of the model's repository is run.

    Args:
        model: A folder with the model and its tokenizer, or a name on the Hugging Face Hub.
        cache: Folder of kept answers; None keeps nothing.
        device: Such as ``"cpu"`` or ``"cuda"``.
        max_tokens: Of an answer.
        attempts: Completions for one answer, at most.

    Raises:
        MusicZooError: The model cannot be loaded.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        cache: str | Path | None = None,
        device: str = "cpu",
        max_tokens: int = 1024,
        attempts: int = 3,
    ) -> None:
        super().__init__(str(model), cache=cache, attempts=attempts)
        # transformers and torch are heavy: only those who use a local model wait for them.
        from transformers import AutoModelForCausalLM, AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(str(model))
            loaded: Any = AutoModelForCausalLM.from_pretrained(str(model))
            self._model = loaded.to(device).eval()
        except (OSError, ValueError, RuntimeError) as error:
            raise MusicZooError(
                f"The model cannot be loaded: {' '.join(str(error).split())[:200]}",
                path=str(model),
                remedy="Give a folder with a causal language model and its tokenizer.",
            ) from error
        self.max_tokens = max_tokens
        self._turn = threading.Lock()

    def request(self, messages: Sequence[Message], schema: type[Schema]) -> dict[str, Any]:
        """All that an answer depends on, as plain JSON values."""
        return super().request(messages, schema) | {"local": True, "max_tokens": self.max_tokens}

    def complete(self, messages: Sequence[Message], schema: type[Schema]) -> Completion:
        """What the model writes after messages.

        Raises:
            MusicZooError: The messages are longer than what the model reads.
        """
        import torch

        turns = [dict(message) for message in messages]
        turns[-1]["content"] += f"\n\n{instruction(schema)}"
        encoded = self._tokenizer(self._prompt(turns), return_tensors="pt")
        inputs = {
            name: encoded[name].to(self._model.device) for name in ("input_ids", "attention_mask")
        }
        count = inputs["input_ids"].shape[1]  # (1, tokens)
        longest = getattr(self._model.config, "max_position_embeddings", None)
        if longest is not None and count + self.max_tokens > longest:
            raise MusicZooError(
                f"The request has {count} tokens and the answer up to {self.max_tokens}; the model"
                f" reads {longest}.",
                where=self.name,
                remedy="Lower --most-characters or --max-tokens.",
            )
        with self._turn, torch.inference_mode():
            tokens = self._model.generate(
                **inputs,
                do_sample=False,
                max_new_tokens=self.max_tokens,
                pad_token_id=self._tokenizer.eos_token_id,
            )[0, count:]
        text = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return Completion(text, count, int(tokens.shape[0]))

    def _prompt(self, turns: list[dict[str, str]]) -> str:
        """The turns as text, by the template of the tokenizer where it has one."""
        if getattr(self._tokenizer, "chat_template", None):
            text: str = self._tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=True
            )
            return text
        return "\n\n".join(turn["content"] for turn in turns) + "\n\n"
