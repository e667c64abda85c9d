"""Translates weights from how transformers holds them in memory to how their files hold them.

transformers renames weights while it loads them (GPT-NeoX), and fuses some (the experts of Qwen3
MoE: two tensors a layer in memory, three tensors an expert in the files). What a learner sends to
engines and exports has the names and shapes of the files, which vLLM and others read.
"""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import safe_open
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.core_model_loading import (
    WeightConverter,
    WeightRenaming,
    dot_natural_key,
    rename_source_key,
)


@dataclass
class Conversion:
    """The weights in memory that together become some weights of the files."""

    file_name: str
    """Name of the first of these in the files."""
    converter: WeightConverter | None
    """How transformers makes them; None: one weight, which keeps its shape."""
    patterns: dict[str, str] = field(default_factory=dict)
    """Name in memory -> pattern of the converter that it matches, in transformers' order."""


class FileLayout:
    """The names and shapes that the weights of a model have in its files.

    Made of a model that `load_causal_lm` loaded from `directory`.
    """

    def __init__(self, model: PreTrainedModel, directory: Path) -> None:
        self._model = model
        self._prefix = f"{model.base_model_prefix}."
        self._names_in_files = read_weight_names(directory)
        self._conversions = plan_conversions(model)

    def translate(self, weights: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
        """Yields (name, tensor) as the files have them, from all `stored_weights` of the model.

        A weight of the files comes as soon as all that it is made of has come. A tensor is good
        until the next one is asked for. Tensors on the device `meta` give names and shapes.
        """
        waiting: dict[str, dict[str, Tensor]] = {}
        for name, tensor in weights:
            conversion = self._conversions[name]
            parts = waiting.setdefault(conversion.file_name, {})
            is_complete = len(parts) + 1 == max(len(conversion.patterns), 1)
            parts[name] = tensor if is_complete else tensor.clone()
            if is_complete:
                yield from self._convert(conversion, waiting.pop(conversion.file_name))
        if waiting:
            raise ValueError(f"weights are missing to make {sorted(waiting)} of the model's files")

    def _convert(
        self, conversion: Conversion, parts: dict[str, Tensor]
    ) -> Iterator[tuple[str, Tensor]]:
        if conversion.converter is None:
            (tensor,) = parts.values()
            yield self._with_prefix_of_files(conversion.file_name), tensor
            return
        converter = deepcopy(conversion.converter)
        for name, pattern in conversion.patterns.items():
            # Loading gives it a Future, saving a Tensor; its types know the first.
            converter.add_tensor(conversion.file_name, name, pattern, parts.pop(name))  # type: ignore[arg-type]
        made = converter.convert(conversion.file_name, self._model, self._model.config)
        for name, tensor in made.items():
            whole = tensor[0] if isinstance(tensor, list) else tensor
            yield self._with_prefix_of_files(name), whole

    def _with_prefix_of_files(self, name: str) -> str:
        """The name without the prefix of the model's body where the files leave that out."""
        bare = name.removeprefix(self._prefix)
        if name not in self._names_in_files and bare in self._names_in_files:
            return bare
        return name


def stored_weights(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yields what a checkpoint of the model holds, by name in memory: a tied weight once.

    Parameters, and buffers that are saved, as the routing bias of DeepSeek V3 is.
    """
    yield from model.named_parameters()
    saved = model.state_dict().keys()
    yield from ((name, buffer) for name, buffer in model.named_buffers() if name in saved)


def plan_conversions(model: PreTrainedModel) -> dict[str, Conversion]:
    """Returns how each stored weight of the model, by name in memory, becomes one of the files.

    transformers keeps the conversions that loading the files needed, and can reverse them. Its own
    `revert_weight_conversion` does so for all weights at once, which would take the memory of a
    second model.
    """
    used = getattr(model, "_weight_conversions", None) or []
    reverses = [conversion.reverse_transform() for conversion in reversed(used)]
    renamings = [reverse for reverse in reverses if isinstance(reverse, WeightRenaming)]
    converters = [reverse for reverse in reverses if isinstance(reverse, WeightConverter)]
    by_pattern = {pattern: each for each in converters for pattern in each.source_patterns}
    by_file_name: dict[str, Conversion] = {}
    by_name: dict[str, Conversion] = {}
    for name in sorted((name for name, _ in stored_weights(model)), key=dot_natural_key):
        file_name, pattern = rename_source_key(name, renamings, converters, reverse=True)
        converter = None if pattern is None else by_pattern[pattern]
        by_name[name] = by_file_name.setdefault(file_name, Conversion(file_name, converter))
        if pattern is not None:
            by_name[name].patterns[name] = pattern
    return by_name


def read_weight_names(directory: Path) -> frozenset[str]:
    """Returns the names of all tensors in the safetensors files of a directory."""
    names: set[str] = set()
    for path in directory.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            names.update(file.keys())
    return frozenset(names)
