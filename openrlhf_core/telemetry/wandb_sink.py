"""Metrics to Weights & Biases."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openrlhf_core.durable import writing
from openrlhf_core.spec.exit_codes import ConfigurationError, RetryableError
from openrlhf_core.spec.kinds.records import WandbSpec

try:
    import wandb
    from wandb.errors import AuthenticationError, CommError, UsageError
except ImportError as error:
    raise ConfigurationError(
        "training.logging.wandb is set, but wandb is not installed; "
        "`pip install rlhf-operator[wandb]` or remove it"
    ) from error

_NEEDS_NO_KEY = {"offline", "disabled", "dryrun"}


class WandbSink:
    """One W&B run for all attempts, by its id.

    A resumed run repeats the steps since its checkpoint; W&B keeps the rows it has: they are equal.
    WANDB_MODE=offline writes below `<output>/wandb` and sends nothing.
    """

    def __init__(
        self,
        spec: WandbSpec,
        output: Path,
        run_id: str,
        job_name: str,
        training: Mapping[str, Any],
    ) -> None:
        _require_key(os.environ)
        directory = output / "wandb"
        with writing(directory):
            directory.mkdir(exist_ok=True)
        try:
            self._run = wandb.init(
                project=spec.project,
                entity=spec.entity,
                group=spec.group,
                name=spec.run_name or job_name,
                id=run_id,
                resume="allow",
                dir=str(directory),
                config=dict(training),
                settings=wandb.Settings(console="off"),
            )
        except (AuthenticationError, UsageError) as error:
            raise ConfigurationError(f"training.logging.wandb: W&B refused: {error}") from error
        except CommError as error:
            raise RetryableError(
                f"training.logging.wandb: W&B cannot be reached ({error}); set WANDB_MODE=offline "
                "to train without it"
            ) from error

    def write(self, step: int, time: float, metrics: Mapping[str, float]) -> None:
        self._run.log({**metrics, "time": time}, step=step)

    def close(self) -> None:
        self._run.finish()


def _require_key(environment: Mapping[str, str]) -> None:
    is_online = environment.get("WANDB_MODE", "online") not in _NEEDS_NO_KEY
    if is_online and not environment.get("WANDB_API_KEY"):
        raise ConfigurationError(
            "training.logging.wandb is set, but the environment has no WANDB_API_KEY; set it, or "
            "set WANDB_MODE=offline to keep the metrics on this machine"
        )
