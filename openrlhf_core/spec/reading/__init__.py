"""Reads manifests: YAML with line numbers, validation, and errors in sentences."""
