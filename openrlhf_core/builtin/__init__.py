"""What `builtin://NAME` means: a tiny model, toy data and verifiers that ship with the package."""
