"""The room of the Lightning callbacks that change what a run trains on, or how, or that show and publish what it has made."""

from musiczoo.callbacks.group_rollouts import GroupRollouts
from musiczoo.callbacks.preference_rounds import PreferenceRounds
from musiczoo.callbacks.preview import Preview
from musiczoo.callbacks.publishing import PublishToHub
from musiczoo.callbacks.stage_transition import Change, StageTransition

__all__ = ["Change", "GroupRollouts", "PreferenceRounds", "Preview", "PublishToHub", "StageTransition"]
