"""What is promised of checkpoints and steps: a test, a figure and a control for each promise."""
