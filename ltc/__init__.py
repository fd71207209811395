"""A laboratory for lossy compression with lattice-quantized neural transform coders."""

import os

# By default OpenMP's threads burn their cores while they wait for each other, and steps of small
# models are mostly waiting: with one other busy process on two cores they took 9 times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
