"""What a study says: its runs, its numbers, and the statistics of them."""
