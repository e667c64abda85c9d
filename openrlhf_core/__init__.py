"""RLHF training core: data, rewards, rollouts, learners and the recipes that join them."""

__version__ = "0.1.0"
