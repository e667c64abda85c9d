"""Tokenised samples of the recipes that learn from data alone: SFT, preferences, KTO, PRM."""
