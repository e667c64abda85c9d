"""One learner rank on DeepSpeed."""
