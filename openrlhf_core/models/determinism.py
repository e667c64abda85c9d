"""Switches off all that makes a training forward pass random: dropout, layer drop, router noise.

A ratio of probabilities means something only when both were computed by the same function.
"""

import re
from typing import Any

from torch import nn
from torch.nn.modules.dropout import _DropoutNd
from transformers import PretrainedConfig

RANDOM_FIELD = re.compile(r"drop|jitter|noise")
"""Names of settings, of a configuration or a module, whose number makes a forward pass random.

Examples: attention_dropout, resid_pdrop, layerdrop, drop_path_rate, router_jitter_noise.
"""


def without_randomness(config: PretrainedConfig) -> PretrainedConfig:
    """Sets every such number of the configuration, and of those inside it, to 0; returns it.

    A model made from it calls no dropout, not even functions that read the configuration.
    """
    for name, value in list(vars(config).items()):
        if isinstance(value, PretrainedConfig):
            without_randomness(value)
        elif _makes_random(name, value):
            setattr(config, name, type(value)(0))
    return config


def remove_dropout(model: nn.Module) -> None:
    """Sets every dropout module, and every such number that a module holds, to 0."""
    for module in model.modules():
        if isinstance(module, _DropoutNd):
            module.p = 0.0
        for name, value in list(vars(module).items()):
            if _makes_random(name, value):
                setattr(module, name, type(value)(0))


def _makes_random(name: str, value: Any) -> bool:
    return (
        isinstance(value, float | int)
        and not isinstance(value, bool)
        and value > 0
        and RANDOM_FIELD.search(name) is not None
    )
