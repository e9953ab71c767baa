"""Transformations of variables, as BIDS Stats Models list them."""
