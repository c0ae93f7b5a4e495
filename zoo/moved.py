"""Modules that have moved: their old paths keep working, with a warning that names the new one.

One finder serves all of them, so that no folder holds a stub for each. A package of which modules
have moved has the name of this module at the end of its ``__path__``: the finder is asked for what
the package's own folder lacks, and for nothing else. Configurations and checkpoints of earlier
versions name classes by these paths.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "callbacks.group_rollouts": "callbacks.rollouts.callback",
    "callbacks.preference_rounds": "callbacks.preference.callback",
    "callbacks.remi_prompts": "callbacks.prompts.remi",
    "callbacks.rollout_batches": "callbacks.rollouts.batches",
    "callbacks.rollout_files": "callbacks.rollouts.files",
    "callbacks.rollout_making": "callbacks.rollouts.sampler",
    "callbacks.rollout_media": "callbacks.rollouts.media",
    "callbacks.rollout_prompts": "callbacks.prompts.sources",
    "callbacks.rollout_reference": "models.reference",
    "callbacks.round_files": "callbacks.preference.files",
    "callbacks.round_making": "callbacks.preference.sampler",
    "callbacks.round_prompts": "callbacks.prompts.works",
    "callbacks.selection": "callbacks.preference.selection",
    "comparing": "commands.compare",
    "comparison_files": "comparison.report",
    "completion": "commands.completion",
    "composing": "compose",
    "continuing": "commands.continue_score",
    "datamodules.worker_pool": "music.workers",
    "datamodules.degraded_takes": "datamodules.degraded_passages",
    "divergence": "metrics.divergence",
    "generating": "commands.generate",
    "hub.architectures": "hub.registry",
    "hub.licences": "hub.card_fields",
    "hub.torch_files": "hub.tensors",
    "listing": "commands.list",
    "models.bar_stream.notagen": "models.bar_stream.published",
    "models.bar_stream.drafting": "models.bar_stream.stream",
    "models.gpt2": "models.layers.gpt2",
    "models.packed_linear": "models.layers.packed_linear",
    "models.patch_embedding": "models.layers.gpt2",
    "models.phi3_remi.decoding": "models.causal_lm.decoding",
    "models.phi3_remi.generation": "models.causal_lm.generation",
    "models.policy_losses": "models.objectives.policy",
    "models.preference_losses": "models.objectives.preference",
    "models.ragged": "models.layers.ragged_attention",
    "models.sharding": "models.base.sharding",
    "models.trainable": "models.base.freezing",
    "models.trained": "models.base",
    "models.zoo_module": "models.base",
    "music.audio": "music.sound.audio",
    "music.bar_text": "music.abc.bar_writer",
    "music.built_in_corpora": "music.corpora.built_in",
    "music.cleaning": "music.abc.cleaning",
    "music.composers": "music.recipes.composers",
    "music.corpus": "music.corpora.corpus",
    "music.corpus_cache": "music.corpora.cache",
    "music.corpus_files": "music.corpora.files",
    "music.corpus_reading": "music.corpora.reading",
    "music.corpus_report": "music.corpora.report",
    "music.dynamics": "music.abc.dynamics",
    "music.engrave": "music.pictures.engraving",
    "music.instruments": "music.abc.programs",
    "music.key_finding": "music.abc.key_finding",
    "music.labels": "music.recipes.labels",
    "music.midi_bytes": "music.midi.checked_bytes",
    "music.midi_text": "music.midi.text_format",
    "music.music_font": "music.pictures.music_font",
    "music.musicxml.lanes": "music.musicxml.voice_assignment",
    "music.musicxml.marks": "music.musicxml.from_abc",
    "music.musicxml.signs": "music.musicxml.to_abc",
    "music.performance": "music.sound.note_table",
    "music.performance_degradation": "music.degradation.performance",
    "music.performance_takes": "music.degradation.passages",
    "music.piano_stream": "music.midi.piano_stream",
    "music.render_workers": "music.sound.render_workers",
    "music.rendering": "music.sound.rendering",
    "music.resampling": "music.sound.resampling",
    "music.soundfont": "music.sound.soundfont",
    "music.synthesis": "music.sound.synthesizer",
    "music.tempo": "music.abc.tempo",
    "music.voice": "music.sound.sample_voice",
    "named_rewards": "rewards.by_name",
    "opening": "hub.opening",
    "portrait": "comparison.evaluation",
    "portrait_picture": "comparison.figures",
    "portrait_tables": "comparison.tables",
    "portraying": "comparison.evaluate",
    "preparing": "commands.corpus",
    "publishing": "commands.publish",
    "recipes": "configs.recipes",
    "reporting": "commands.card",
    "sound_table": "comparison.soundfonts",
    "stage": "stages.stage",
    "stage_fit": "stages.callbacks",
    "stage_ledger": "stages.ledger",
    "stage_plan": "stages.plan",
    "staging": "commands.stages",
    "studying": "commands.study",
    "training": "commands.fit",
}
"""Where each module was, and where it is now, both below ``musiczoo``. Moved with version 0.2."""


def new_path(path: str) -> str:
    """The dotted path of a module, or of something in one, at its place of today.

    Example:
        >>> new_path("musiczoo.callbacks.group_rollouts.GroupRollouts")
        'musiczoo.callbacks.rollouts.callback.GroupRollouts'
    """
    room, _, name = path.partition(".")
    module, _, attribute = name.rpartition(".")
    if room != "musiczoo":
        return path
    if name in MOVED:
        return f"musiczoo.{MOVED[name]}"
    return f"musiczoo.{MOVED[module]}.{attribute}" if module in MOVED else path


class _MovedModule(Loader):
    """Loads a module by the path that it had."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module at its new place: the very same object, so that no class exists twice."""
        new = f"musiczoo.{MOVED[spec.name.partition('.')[2]]}"
        warnings.warn(f"{spec.name} is {new} now.", DeprecationWarning, stacklevel=2)
        module = importlib.import_module(new)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Gives the module its own specification back; it has run already."""
        module.__spec__ = module.__spec__.loader_state if module.__spec__ else None


_LOADER = _MovedModule()
_SPECS: dict[str, ModuleSpec] = {}
for _old in MOVED:
    _SPECS[f"musiczoo.{_old}"] = ModuleSpec(f"musiczoo.{_old}", _LOADER)


class _Finder:
    """Looks up a table; None for every name that has not moved."""

    find_spec = staticmethod(_SPECS.get)


def _finder(entry: str) -> _Finder:
    if entry != __name__:
        raise ImportError(f"{entry} is no {__name__}", path=entry)
    return _Finder()


# What Python would find out by the hook; it forgets it with importlib.invalidate_caches().
sys.path_importer_cache[__name__] = _Finder()  # type: ignore[assignment]
sys.path_hooks.append(_finder)  # type: ignore[arg-type]
