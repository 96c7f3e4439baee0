"""The engine for arrays on a CUDA device: the passes of a chain as grids of threads."""
