"""The output dataset: every name in it, and how its files are written."""
