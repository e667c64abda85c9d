"""`training.reward`: what scores a completion."""

from typing import Annotated

from pydantic import Field

from openrlhf_core.spec.kinds.base import ListName, PositiveFloat, PositiveInt, SpecModel
from openrlhf_core.spec.kinds.sources import FunctionSource


class RewardFunctionSpec(SpecModel):
    """A Python function `reward_func(queries, prompts, labels)` that returns a number for each."""

    name: ListName = Field("default", description="Name of the function, unique in its list.")
    source: FunctionSource = Field(
        description="Location of the code: a .py file, python://package.module, "
        "configmap://name/key or builtin://NAME."
    )
    entry: Annotated[str, Field(max_length=253, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = Field(
        "reward_func", description="Name of the function in the file."
    )
    weight: Annotated[float, Field(ge=-1e6, le=1e6)] = Field(
        1.0, description="Factor of this function's score in the sum over all functions."
    )
    timeout_seconds: PositiveFloat = Field(
        60.0, description="A call that takes longer fails, and its worker is replaced."
    )
    batch_size: PositiveInt | None = Field(
        None, description="Completions in one call. Default: the completions of one prompt."
    )


class RewardSpec(SpecModel):
    """What scores a completion; the scores of all entries are added up."""

    functions: Annotated[tuple[RewardFunctionSpec, ...], Field(min_length=1, max_length=16)] = (
        Field(
            description="Python functions.",
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
            },
        )
    )
