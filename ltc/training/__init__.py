"""Training a coder and fitting it to what its encoder produces."""

from ltc.training.batches import BlockStream
from ltc.training.module import CoderTraining, TrainingDivergedError
from ltc.training.progress import TrainingProgress
from ltc.training.refinement import refine

__all__ = ["BlockStream", "CoderTraining", "TrainingDivergedError", "TrainingProgress", "refine"]
