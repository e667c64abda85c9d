"""From files to prompts, and from samples to balanced micro-batches."""
