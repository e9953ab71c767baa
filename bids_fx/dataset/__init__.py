"""Finding and reading the input datasets."""
