"""Arrays: namespaces and dtypes, nests of them, their memory, sums and stored formats."""
