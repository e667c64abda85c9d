"""Pure: what was observed, and what to do about it; one file per policy."""
