"""Generators of committed files; used in development only."""
