"""Resolves a training spec: presets, roles, placement and memory."""
