"""The compiled engine on a CPU: kernels, the code that drives them, threads, and gradients read in place."""
