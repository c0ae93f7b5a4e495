"""The two frozen parts of MIDI-LLaMA, opened by name and known by their digest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from musiczoo.hub.loading import load
from musiczoo.models.adapters import fingerprint
from musiczoo.models.causal_lm.module import TextLMModule
from musiczoo.models.midi_llama.config import MidiLlamaConfig
from musiczoo.models.musicbert.module import MusicBertModule
from musiczoo.music.errors import MusicZooError


class Parts(NamedTuple):
    """Encoder and language model, and the settings with their names and digests.

    Attributes:
        config: The settings.
        encoder: None where the music is text.
        lm: The language model.
    """

    config: MidiLlamaConfig
    encoder: MusicBertModule | None
    lm: TextLMModule


def open_parts(
    config: MidiLlamaConfig,
    encoder: MusicBertModule | None = None,
    lm: TextLMModule | None = None,
) -> Parts:
    """Opens the parts that the settings name, and checks that they are those of before.

    Args:
        config: The settings.
        encoder: An encoder that has been opened; its ``source`` names it.
        lm: Likewise a language model.

    Raises:
        MusicZooError: A part cannot be opened, is of another architecture, or has other bytes than
            when the settings were stored.
    """
    if encoder is None and config.encoder:
        encoder = _opened(config.encoder, MusicBertModule, "encoder")
    if lm is None:
        lm = _opened(config.lm, TextLMModule, "lm")
    if encoder is not None:
        digest = _digest(encoder, config.encoder_sha256, "encoder")
        name = config.encoder if encoder.source is None else encoder.source
        config = replace(config, encoder=name, encoder_sha256=digest)
    digest = _digest(lm, config.lm_sha256, "lm")
    config = replace(config, lm=config.lm if lm.source is None else lm.source, lm_sha256=digest)
    return Parts(config, encoder, lm)


def _opened(source: str, kind: Any, where: str) -> Any:
    try:
        found = kind(pretrained=source) if Path(source).exists() else load(source)
    except MusicZooError as error:
        raise error.at(where=where) from error
    if not isinstance(found, kind):
        raise MusicZooError(
            f"{source} is no {kind.architecture}.",
            where=where,
            remedy=f"Name a {kind.architecture}: musiczoo list.",
        )
    if found.lora is not None:
        found.merge_adapter()
    found.source = source
    return found.eval()


def _digest(part: Any, wanted: str, where: str) -> str:
    digest = fingerprint(part.net.state_dict())
    if wanted and digest != wanted:
        raise MusicZooError(
            f"The {where} has other weights than the one that this model was trained beside.",
            where=where,
            remedy="Get the version that it was trained beside, with all its bytes.",
        )
    return digest


def chat_of(source: str) -> Any:
    """``apply_chat_template`` of the tokenizer in a folder of transformers.

    Raises:
        MusicZooError: There is none.
    """
    from transformers import AutoTokenizer

    auto: Any = AutoTokenizer
    try:
        tokenizer = auto.from_pretrained(source, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        # What the readers of single families raise is of no fixed kind.
        raise MusicZooError(
            f"The tokenizer of {source} cannot be read ({' '.join(str(error).split())[:200]}).",
            where="template",
            remedy='Give a folder in transformers\' layout, or template="plain".',
        ) from error
    return tokenizer.apply_chat_template
