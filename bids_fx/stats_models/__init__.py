"""BIDS Stats Models: reading, checking, explaining and writing model files."""
