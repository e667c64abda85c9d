"""What models learn: one file per objective, each with its sample type and its loss."""
