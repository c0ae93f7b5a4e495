"""MIDI-LLaMA: MusicBERT, a projection and a language model (paper 'MIDI-LLaMA')."""

from musiczoo.models.midi_llama.config import MidiLlamaConfig
from musiczoo.models.midi_llama.module import MidiLlamaModule
from musiczoo.models.midi_llama.net import MidiLlamaNet

__all__ = ["MidiLlamaConfig", "MidiLlamaModule", "MidiLlamaNet"]
