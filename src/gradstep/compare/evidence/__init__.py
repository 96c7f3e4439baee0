"""The evidence of a study: its runs, its numbers, and the statistics of them."""
