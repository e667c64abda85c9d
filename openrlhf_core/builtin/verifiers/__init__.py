"""Reward functions that need no model: one file a name of `builtin://NAME`."""
