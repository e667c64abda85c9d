"""Recipe RL: reinforcement learning from scores."""
