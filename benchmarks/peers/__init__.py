"""Peers' own test suites with Gradstep's guests in the place of their optimizers; see run.py."""
