"""Pure: a job, its runtime and its plan make the child objects that should exist."""
