"""Lightning callbacks: preference rounds, rollouts, stages in one fit, previews, publishing."""

from musiczoo.callbacks.preference.callback import PreferenceRounds
from musiczoo.callbacks.preview import Preview
from musiczoo.callbacks.prompts.remi import CorpusPrompts, ProceduralPrompts
from musiczoo.callbacks.prompts.sources import FixedPrompts, PromptSource
from musiczoo.callbacks.prompts.works import WorkPrompts
from musiczoo.callbacks.publishing import PublishToHub
from musiczoo.callbacks.rollouts.callback import GroupRollouts
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
    "WorkPrompts",
]

__path__.append("musiczoo.moved")  # finds modules by the paths that they had
