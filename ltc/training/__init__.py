"""Training a coder and fitting it to what its encoder produces."""

from ltc.training.batches import BlockStream
from ltc.training.fitting import fit_realism
from ltc.training.module import CoderTraining, TrainingDivergedError
from ltc.training.progress import TrainingProgress
from ltc.training.refinement import refine
from ltc.training.saving import Saved, WholeFiles
from ltc.training.target_rate import initialise_at_rate

__all__ = [
    "BlockStream",
    "CoderTraining",
    "Saved",
    "TrainingDivergedError",
    "TrainingProgress",
    "WholeFiles",
    "fit_realism",
    "initialise_at_rate",
    "refine",
]
