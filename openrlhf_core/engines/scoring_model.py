"""A frozen model that scores given tokens, as the reference does."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from openrlhf_core.engines.build_model import build_model
from openrlhf_core.engines.forward import forward_scores
from openrlhf_core.engines.learner_settings import Hardware, ModelSettings
from openrlhf_core.engines.process_group import take_device
from openrlhf_core.models.fidelity import check_fidelity
from openrlhf_core.objectives.outputs import ModelOutput


class ScoringModel:
    """One whole copy of a frozen model on one device; implements `protocols.Scorer`.

    `output` says what a score is: with TokenLogprobs the log-prob of each token. Ranks work apart,
    without collectives.
    """

    def __init__(
        self,
        directory: Path,
        settings: ModelSettings,
        hardware: Hardware,
        output: ModelOutput,
        local_index: int = 0,
    ) -> None:
        self._settings = settings
        self._device = take_device(hardware, local_index)
        model = build_model(directory, settings, hardware, output)
        check_fidelity(model, settings.packing)
        self._model = model.requires_grad_(False).eval().to(self._device)

    def score(self, micro_batches: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
        """Returns a float32 score of each token id, shapes as given."""
        return [self._forward(token_ids) for token_ids in micro_batches]

    def sleep(self) -> None:
        """Moves the weights to host memory."""
        self._model.to("cpu")
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def wake(self) -> None:
        """Moves the weights back to the device."""
        self._model.to(self._device)

    def _forward(self, token_ids: Sequence[np.ndarray]) -> list[np.ndarray]:
        settings = self._settings
        if not token_ids:
            return []
        return forward_scores(
            self._model,
            token_ids,
            pad_id=settings.pad_id,
            packing=settings.packing,
            device=self._device,
        )
