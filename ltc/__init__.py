"""A laboratory for lossy compression with lattice-quantized neural transform coders."""

__version__ = "0.1.0"
