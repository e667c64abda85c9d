"""`python -m openrlhf_core drive`: one attempt on the Ray cluster that surrounds this process."""

import os
import sys
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from openrlhf_core.garbage_collection import collector_paused
from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.last_words import last_words_line
from openrlhf_core.spec.run_config import RunConfig

TOKEN_VARIABLE = "RAY_AUTH_TOKEN"


def drive(config_file: Path, attempt: int) -> int:
    """Runs attempt number `attempt` of the RunConfig in a JSON file; returns the exit code."""
    # torch, Ray and transformers take seconds to import; other commands do without.
    with collector_paused():
        from openrlhf_core import driver  # noqa: PLC0415
        from openrlhf_core.orchestration.ray_runtime import surrounding_ray  # noqa: PLC0415
        from openrlhf_core.surroundings import Surroundings  # noqa: PLC0415

    try:
        config = read_config(config_file)
    except ConfigurationError as error:
        sys.stdout.write(f"{error}\n{last_words_line(error)}")
        return error.exit_code
    surroundings = Surroundings(
        open_ray=partial(surrounding_ray, os.environ.get("RAY_ADDRESS", "auto")),
        base=config_file.parent,
        attempt=attempt,
        token=os.environ.get(TOKEN_VARIABLE),
    )
    return driver.run(config, surroundings, sys.stdout)


def read_config(path: Path) -> RunConfig:
    """Reads a RunConfig; ConfigurationError says what is wrong with the file."""
    try:
        return RunConfig.model_validate_json(path.read_bytes(), by_alias=True, by_name=False)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{path}: {field}: {first['msg']}") from error
