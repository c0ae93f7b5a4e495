"""The contracts between architectures, objectives and the Trainer."""

from musiczoo.models.base.checkpointed import Prompt
from musiczoo.models.base.generative import Generated, GenerativeModule, TokenLogProbs
from musiczoo.models.base.training import Batch, Objective, ObjectiveResult, OptimizerFactory

__all__ = [
    "Batch",
    "Generated",
    "GenerativeModule",
    "Objective",
    "ObjectiveResult",
    "OptimizerFactory",
    "Prompt",
    "TokenLogProbs",
]
