"""Prompts of MIDI-LLaMA: questions about pieces as rows, and rows as embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from musiczoo.representations.music_questions import MUSIC, Asked, MusicQuestions


def rows_of_prompts(
    prompts: Sequence[Asked | Tensor], representation: MusicQuestions
) -> list[Tensor]:
    """The rows (rows, 9) of prompts; each distinct piece is turned into notes once.

    Args:
        prompts: Pairs of a piece and a question, or rows.
        representation: Of the model.

    Raises:
        MusicZooError: A piece without notes, or a question that is empty or too long.
    """
    music: dict[int, Tensor | None] = {}
    rows = []
    for prompt in prompts:
        if isinstance(prompt, Tensor):
            rows.append(prompt.detach().cpu())
            continue
        piece, question, *_ = prompt
        if representation.music == "abc":
            rows.append(representation.encode(Asked(piece, question)))
            continue
        if id(piece) not in music:
            music[id(piece)] = representation.music_rows(piece)
        rows.append(representation.around(music[id(piece)], question, None))
    return rows


def embedded_prompts(module: Any, rows: Sequence[Tensor]) -> list[Tensor]:
    """The embeddings (tokens, hidden) of prompts; each distinct piece is read once.

    Args:
        module: A :class:`musiczoo.models.midi_llama.MidiLlamaModule`.
        rows: (rows, 9) of each prompt.
    """
    net, device = module.net, module.device
    places: dict[bytes, int] = {}
    pieces: list[Tensor] = []
    numbers = []
    for row in rows:
        music = row[row[:, 0] == MUSIC, 1:]
        key = music.numpy().tobytes()
        if len(music) and key not in places:
            places[key] = len(pieces)
            pieces.append(music)
        numbers.append(places.get(key, 0))
    features = None
    if pieces:
        owners = torch.cat([torch.full((len(p),), n) for n, p in enumerate(pieces)])
        notes = torch.cat(pieces).to(device)
        features = net.features(notes, owners.to(device), len(pieces))[numbers]
    batch = module.representation.collate(list(rows))
    with torch.no_grad():
        found = net.embedded(batch["ids"].to(device), batch["lengths"].to(device), features)
    return [part.float().cpu() for part in found.values.split(found.lengths.tolist())]
