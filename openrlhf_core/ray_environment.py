"""Environment variables that Ray reads once, when it is imported."""

import secrets


def local_ray_environment() -> dict[str, str]:
    """Returns the settings of a Ray of our own: a new token guards it, nothing is reported."""
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DEDUP_LOGS": "0",
    }
