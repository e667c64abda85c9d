"""Objects as text."""

import json
from typing import Any

import yaml

from openrlhf_core.spec.exit_codes import ConfigurationError


def object_text(manifest: dict[str, Any], form: str) -> str:
    """The object as YAML or JSON, without the server's bookkeeping of who set what.

    Raises ConfigurationError for another form.
    """
    metadata = {k: v for k, v in manifest["metadata"].items() if k != "managedFields"}
    shown = {**manifest, "metadata": metadata}
    if form == "json":
        return json.dumps(shown, indent=2) + "\n"
    if form == "yaml":
        return yaml.safe_dump(shown, sort_keys=False, width=100)
    raise ConfigurationError(f"--output {form}: unknown form; use yaml or json")
