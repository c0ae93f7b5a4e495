"""The contracts between architectures, objectives and the Trainer."""

from musiczoo.models.base.capabilities import (
    Answers,
    Classifies,
    Continues,
    Distributes,
    Encodes,
    TakesLabels,
)
from musiczoo.models.base.generative import Generated, GenerativeModule
from musiczoo.models.base.module import ZooModule
from musiczoo.models.base.objective import (
    Batch,
    Objective,
    ObjectiveResult,
    OptimizerFactory,
    TokenLogProbs,
)
from musiczoo.models.prompts import Prompt

TrainedModule = ZooModule  # the name, in musiczoo.models.trained, until version 0.1

__all__ = [
    "Answers",
    "Batch",
    "Classifies",
    "Continues",
    "Distributes",
    "Encodes",
    "Generated",
    "GenerativeModule",
    "Objective",
    "ObjectiveResult",
    "OptimizerFactory",
    "Prompt",
    "TakesLabels",
    "TokenLogProbs",
    "TrainedModule",
    "ZooModule",
]
