"""The kinds that a person writes or reads, as pydantic models: one file a part."""
