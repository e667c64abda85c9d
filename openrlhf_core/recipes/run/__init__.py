"""Runs any recipe: one attempt, and the journal that it leaves."""
