"""Thin nipype interfaces: load, one call into the core, save."""
