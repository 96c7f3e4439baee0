"""What arrays are: namespaces and dtypes, nests of them, where they lie, sums and stored formats."""
