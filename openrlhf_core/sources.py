"""Where a source lies on this machine: every source URI becomes a path, or a module's name.

The driver, the engines and the reward workers call `locate`. It downloads what comes from the
Hugging Face hub; the error for a source that is not there says what to do.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    CachedRepoTreeNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RevisionNotFoundError,
    RevisionResolutionError,
)

from openrlhf_core.builtin.catalogue import Use as BuiltinUse
from openrlhf_core.builtin.catalogue import builtin_module, builtin_names, builtin_path
from openrlhf_core.spec.exit_codes import ConfigurationError, RetryableError, RunError
from openrlhf_core.spec.kinds.sources import Source, Use, parse_source

MODEL_FILES = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "*.tiktoken")
DATA_FILES = ("*.jsonl", "*.json", "*.csv", "*.parquet", "*.arrow", "*.gz", "*.zst", "README.md")
CODE_FILES = ("*.py",)
SECOND_COPIES = ("original/*", "consolidated*", "onnx/*", "openvino/*")


@dataclass(frozen=True)
class ClusterMounts:
    """Folders of a training pod that hold what the operator mounted."""

    config_maps: Path = Path("/etc/rlhf/configmaps")
    claims: Path = Path("/mnt/pvc")


@dataclass(frozen=True)
class Locator:
    """Knows where sources lie on this machine. Made by the driver, read by whoever opens one."""

    base: Path
    """Directory of the manifest; a bare path is relative to it."""
    cache: Path | None = None
    """Directory of downloads. None: where huggingface_hub keeps them (HF_HOME)."""
    mounts: ClusterMounts = ClusterMounts()

    def locate(self, source: str, use: Use, trust_remote_code: bool = False) -> Path:
        """Path of a source, downloaded when it comes from the hub.

        ConfigurationError when it is malformed, not for this use or not there; RetryableError
        when the hub does not answer and nothing is cached.
        """
        parsed = _parse(source, use)
        if parsed.scheme == "hf":
            return _download(parsed, source, use, self._downloads(), trust_remote_code)
        if parsed.scheme == "builtin":
            return _builtin(parsed.name, use)
        return _existing(self._place(parsed, source), source)

    def locate_data(self, source: str) -> tuple[Path, str | None]:
        """A dataset's file or directory; or a directory and the glob pattern of files below it."""
        parsed = _parse(source, "data")
        fixed, pattern = _split_pattern(parsed.path)
        if not pattern or _exists(self._place(parsed, source), source):
            return self.locate(source, "data"), None
        return _existing(self._place(replace(parsed, path=fixed), source), source), pattern

    def _place(self, parsed: Source, source: str) -> Path:
        """The path that a source names, whether something is there or not."""
        if parsed.scheme == "configmap":
            return _mounted(self.mounts.config_maps / parsed.name, parsed.path, source, "ConfigMap")
        if parsed.scheme == "pvc":
            return _mounted(self.mounts.claims / parsed.name, parsed.path, source, "claim")
        if parsed.scheme == "python":
            raise ConfigurationError(f"{source}: a module has no path; import it by its name")
        return self.base / parsed.path

    def locate_code(self, source: str) -> Path | str:
        """A reward function's file, or the name of the module that holds it."""
        parsed = _parse(source, "function")
        if parsed.scheme == "python":
            return parsed.name
        path = self.locate(source, "function")
        if parsed.scheme == "builtin":
            return builtin_module(parsed.name)
        if path.is_dir():
            raise ConfigurationError(f"{source}: {path} is a directory; name the .py file in it")
        return path

    def _downloads(self) -> Path | None:
        return None if self.cache is None else self.cache / "hub"


def _parse(source: str, use: Use) -> Source:
    try:
        return parse_source(source, use)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def _builtin(name: str, use: Use) -> Path:
    kind: BuiltinUse = "model" if use == "model" else "data" if use == "data" else "function"
    try:
        return builtin_path(name, kind)
    except KeyError as error:
        known = ", ".join(f"builtin://{known}" for known in builtin_names(kind))
        raise ConfigurationError(f"builtin://{name} is no {kind} that we ship; use {known}") from (
            error
        )


def _mounted(root: Path, inner: str, source: str, kind: str) -> Path:
    if not root.is_dir():
        raise ConfigurationError(
            f"{source}: {root} is not there; a {kind} is mounted in the pods of a cluster only. "
            "On one machine name a file instead"
        )
    path = (root / inner).resolve()
    if not path.is_relative_to(root.resolve()):
        raise ConfigurationError(f"{source}: the path leaves the {kind}; name a path inside it")
    return root / inner


def _existing(path: Path, source: str) -> Path:
    if not _exists(path, source):
        raise ConfigurationError(
            f"{source}: {path.absolute()} is not there; fix the path or create the file"
        )
    return path.absolute()


def _exists(path: Path, source: str) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise ConfigurationError(f"{source}: cannot look at {path}: {error.strerror}") from error


def _split_pattern(path: str) -> tuple[str, str]:
    """The part of a path before the first segment with `*`, `?` or `[`, and the rest.

    Example: `rows/2026-*/*.jsonl` -> ("rows", "2026-*/*.jsonl")
    """
    segments = path.split("/")
    first = next((i for i, text in enumerate(segments) if set(text) & set("*?[")), len(segments))
    fixed = "/".join(segments[:first])
    return (fixed or ("/" if path.startswith("/") else "")), "/".join(segments[first:])


def _download(
    parsed: Source, source: str, use: Use, cache: Path | None, trust_remote_code: bool
) -> Path:
    patterns = list(DATA_FILES if use == "data" else MODEL_FILES)
    if trust_remote_code and use == "model":
        patterns += CODE_FILES
    try:
        found = snapshot_download(
            parsed.name,
            repo_type="dataset" if use == "data" else "model",
            revision=parsed.revision,
            cache_dir=cache,
            allow_patterns=patterns,
            ignore_patterns=None if use == "data" else list(SECOND_COPIES),
        )
    except (OSError, ValueError, CachedRepoTreeNotFoundError, RevisionResolutionError) as error:
        raise _hub_error(error, parsed, source, use) from error
    return Path(found)


def _hub_error(error: Exception, parsed: Source, source: str, use: Use) -> RunError:
    answer = error.__cause__ if isinstance(error, LocalEntryNotFoundError) else error
    status = answer.response.status_code if isinstance(answer, HfHubHTTPError) else None
    if isinstance(answer, GatedRepoError):
        return ConfigurationError(
            f"{source}: access is gated; ask for it on the hub, then set HF_TOKEN to your token"
        )
    if isinstance(answer, RevisionNotFoundError):
        return ConfigurationError(
            f"{source}: the hub has no revision {parsed.revision!r}; fix what follows the @"
        )
    if isinstance(answer, HFValidationError) or status in (401, 403, 404):
        return ConfigurationError(
            f"{source}: the hub shows no such {use}; fix the name, or set HF_TOKEN if it is private"
        )
    reason = str(answer or error).partition("\n")[0]
    return RetryableError(
        f"{source}: the hub did not answer and the cache holds no copy ({reason}); check the "
        "network and HF_ENDPOINT, or unset HF_HUB_OFFLINE"
    )
