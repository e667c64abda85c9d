"""The frozen model that the KL divergence is measured against."""

from collections.abc import Sequence

import numpy as np
import torch

from openrlhf_core.engines.forward import forward_logprobs
from openrlhf_core.engines.learner_settings import Hardware, ModelSettings
from openrlhf_core.engines.process_group import take_device
from openrlhf_core.models.load import load_causal_lm
from openrlhf_core.models.policy import PolicyModel


class ReferenceModel:
    """One whole copy of the reference on one device; ranks work apart, without collectives."""

    def __init__(self, model: ModelSettings, hardware: Hardware, local_index: int = 0) -> None:
        self._settings = model
        self._device = take_device(hardware, local_index)
        loaded = load_causal_lm(
            model.directory,
            model.dtype,
            model.attention,
            hardware.device_kind,
            model.trust_remote_code,
        )
        self._policy = PolicyModel(loaded).requires_grad_(False).eval().to(self._device)

    def score(self, micro_batches: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
        """Log-probs of each token id given those before it, shapes as given; index 0 is 0."""
        return [self._forward(token_ids) for token_ids in micro_batches]

    def sleep(self) -> None:
        """Moves the weights to host memory."""
        self._policy.to("cpu")
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def wake(self) -> None:
        """Moves the weights back to the device."""
        self._policy.to(self._device)

    def _forward(self, token_ids: Sequence[np.ndarray]) -> list[np.ndarray]:
        settings = self._settings
        if not token_ids:
            return []
        return forward_logprobs(
            self._policy,
            token_ids,
            pad_id=settings.pad_id,
            packing=settings.packing,
            temperature=settings.temperature,
            device=self._device,
        )
