"""Loads a model with the head that computes what an objective or a scorer needs."""

from pathlib import Path

from openrlhf_core.engines.learner_settings import Hardware, ModelSettings
from openrlhf_core.models.load import load_causal_lm
from openrlhf_core.models.policy import PolicyModel
from openrlhf_core.objectives.outputs import ModelOutput, TokenLogprobs

MODELS: dict[type[ModelOutput], type[PolicyModel]] = {TokenLogprobs: PolicyModel}
"""The model class of each kind of output."""


def build_model(
    directory: Path, settings: ModelSettings, hardware: Hardware, output: ModelOutput
) -> PolicyModel:
    """Loads the model in `directory` on the CPU."""
    loaded = load_causal_lm(
        directory,
        settings.dtype,
        settings.attention,
        hardware.device_kind,
        settings.trust_remote_code,
    )
    return MODELS[type(output)](loaded, output)
