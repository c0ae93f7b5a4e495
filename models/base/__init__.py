"""The contracts between architectures, objectives and the Trainer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from musiczoo.models.prompts import Prompt
from musiczoo.music.lazy import lazy_names

if TYPE_CHECKING:
    from musiczoo.models.base.capabilities import (
        Answers,
        Classifies,
        Continues,
        Distributes,
        Encodes,
        TakesLabels,
    )
    from musiczoo.models.base.generative import Generated, GenerativeModule
    from musiczoo.models.base.module import TrainedModule, ZooModule
    from musiczoo.models.base.objective import (
        Batch,
        Objective,
        ObjectiveResult,
        OptimizerFactory,
        TokenLogProbs,
    )

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

_HOMES = {
    "capabilities": (
        "Answers",
        "Classifies",
        "Continues",
        "Distributes",
        "Encodes",
        "TakesLabels",
    ),
    "generative": ("Generated", "GenerativeModule"),
    "module": ("TrainedModule", "ZooModule"),
    "objective": ("Batch", "Objective", "ObjectiveResult", "OptimizerFactory", "TokenLogProbs"),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES, __all__)
