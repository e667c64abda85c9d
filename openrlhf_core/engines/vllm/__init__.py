"""One rollout engine on vLLM."""
