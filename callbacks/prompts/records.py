"""Prompts of any kind as text for people, and as plain values for files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any

import torch
from torch import Tensor

from musiczoo.callbacks.run_folder import plain_text
from musiczoo.models.prompts import Prompt
from musiczoo.music.recipes.labels import Labels


def prompt_text(prompt: Any, vocabulary: Sequence[str] | None) -> str:
    """A prompt for people to read.

    Args:
        prompt: As ``generate`` takes it: text, labels, token ids, or nothing (None).
        vocabulary: The tokens by id, where the representation has some.
    """
    if prompt is None:
        return ""
    if isinstance(prompt, Tensor):
        ids = prompt.flatten().tolist()
        return " ".join(
            vocabulary[index] if vocabulary and 0 <= index < len(vocabulary) else str(index)
            for index in ids
        )
    if isinstance(prompt, Labels | Prompt):
        return " / ".join((prompt.period, prompt.composer, prompt.instrumentation))
    return str(prompt)


def prompt_record(prompt: Any) -> Any:
    """A prompt as plain JSON values, the same in another process.

    Labels are a list of three, text is text, token ids are an object with their shape and type; of
    other prompts the ``repr`` is recorded.
    """
    if prompt is None or isinstance(prompt, str):
        return prompt
    if isinstance(prompt, Labels):
        return list(astuple(prompt))
    if isinstance(prompt, Tensor):
        ids = prompt.detach().cpu()
        return {
            "tokens": ids.flatten().tolist(),
            "shape": list(ids.shape),
            "dtype": str(ids.dtype).removeprefix("torch."),
        }
    return {"repr": plain_text(prompt)}


def recorded_prompt(record: Any) -> Any:
    """The prompt of a :func:`prompt_record`; the ``repr`` of a prompt of another kind."""
    if isinstance(record, list):
        return Labels(*record)
    if isinstance(record, Mapping):
        if "tokens" not in record:
            return record["repr"]
        ids = torch.tensor(record["tokens"], dtype=getattr(torch, record["dtype"]))
        return ids.reshape(record["shape"])
    return record
