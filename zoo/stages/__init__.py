"""Plans of training in stages, each with its own Trainer."""

from musiczoo.stages.run import open_plan, run_stages
from musiczoo.stages.stage import Stage

__all__ = ["Stage", "open_plan", "run_stages"]
