"""Finds the shape of a model without a download: its config.json on this machine, or the table of
common models."""

import json
from pathlib import Path

from openrlhf_core.builtin.catalogue import builtin_names, builtin_path
from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.sources import Source, parse_source
from openrlhf_core.spec.planning.known_shapes import known_shape
from openrlhf_core.spec.planning.memory import ModelShape


def find_shape(source: str, base: Path, model_config: Path | None) -> tuple[ModelShape | None, str]:
    """The shape of a model with its source; or None and the reason."""
    if model_config is not None:
        return _read(model_config), str(model_config)
    parsed = parse_source(source)
    path = _config_path(parsed, base)
    if path is not None and path.is_file():
        return _read(path), str(path)
    known = known_shape(parsed.name) if parsed.scheme == "hf" else None
    if known is not None:
        return known, f"{parsed.name} in rlhf's table of common models; nothing was downloaded"
    return None, f"{source} is not on this machine; name its config.json with --model-config"


def _config_path(source: Source, base: Path) -> Path | None:
    if source.scheme == "builtin":
        if source.name not in builtin_names("model"):
            raise ConfigurationError(
                f"model.policy.source: there is no builtin://{source.name}; use one of "
                + ", ".join(f"builtin://{name}" for name in builtin_names("model"))
            )
        return builtin_path(source.name, "model") / "config.json"
    if source.scheme in ("path", "file"):
        return base / source.path / "config.json"
    return _cached(source) if source.scheme == "hf" else None


def _cached(source: Source) -> Path | None:
    """The config.json of a hub model in the local cache, if it was downloaded before."""
    try:
        from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415
    except ImportError:
        return None
    found = try_to_load_from_cache(source.name, "config.json", revision=source.revision)
    return Path(found) if isinstance(found, str) else None


def _read(path: Path) -> ModelShape:
    try:
        config = json.loads(path.read_bytes())
        return ModelShape.from_config(config.get("text_config", config))
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigurationError(f"{path}: cannot be read as a model's config: {error}") from error
