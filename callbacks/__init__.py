"""The room of the Lightning callbacks that change what a run trains on, or how, or that show and publish what it has made."""

from musiczoo.callbacks.preference.callback import PreferenceRounds
from musiczoo.callbacks.preview import Preview
from musiczoo.callbacks.publishing import PublishToHub
from musiczoo.callbacks.rollouts.callback import GroupRollouts
from musiczoo.callbacks.rollouts.prompts import FixedPrompts, PromptSource
from musiczoo.callbacks.rollouts.remi_prompts import CorpusPrompts, ProceduralPrompts
from musiczoo.callbacks.stage_transition import Change, StageTransition

__all__ = [
    "Change",
    "CorpusPrompts",
    "FixedPrompts",
    "GroupRollouts",
    "PreferenceRounds",
    "Preview",
    "ProceduralPrompts",
    "PromptSource",
    "PublishToHub",
    "StageTransition",
]
