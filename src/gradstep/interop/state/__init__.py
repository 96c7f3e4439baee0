"""An optimizer's state from and to other libraries, so that a training goes on there, or here, with its momentum.

A module for each library, of which each holds one table: where a rule's slots stand in that library's state. A rule
that is not in the table is one that the library does not have; the state of its like would mean something else there.
The names are those of torch 2.13, optax 0.2.8, Keras 3.15, MLX 0.32, timm 1.0.31 and pytorch_optimizer 4.1.0.
"""
