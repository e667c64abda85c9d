"""`rlhf init`: a commented manifest that validates."""

import json
import re
from dataclasses import dataclass
from typing import get_args

from openrlhf_core.cli.problems import write_out
from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.recipes import RECIPES, RecipeName
from openrlhf_core.spec.kinds.rl import Algorithm
from openrlhf_core.spec.reading.validate import judge_content
from openrlhf_core.spec.reading.yaml_scalars import resolve_plain

PLAIN = re.compile(r"[A-Za-z][\w./@-]*(://[\w./@-]*)?", re.ASCII)
TEMPLATE = """\
# An RLHFJob: one training run. `rlhf run` trains it here, `kubectl apply -f` on a cluster.
apiVersion: openrlhf.io/v1alpha1
kind: RLHFJob
metadata:
  name: {name}
spec:
  training:
    recipe: {recipe}
    model:
      policy:
        # hf://org/name@revision, pvc://claim/path, file:///absolute/path, a path, builtin://NAME
        source: {model}
    data:
      train:
        # JSONL, JSON, CSV or Parquet with a column for each of `keys`
        - source: {data}
{parts}    learner:
      zeroStage: 2
      dtype: {dtype}
    optimizer:
      learningRate: {learning_rate}
    placement:
      groups:
        # roles that share a group take turns on its devices, roles in different groups work side
        # by side
        - {{name: all, roles: [{roles}], nodes: 1, devicesPerNode: 1}}
    checkpoint: {{everySteps: 20, keep: 2}}
    maxSteps: 100
  # On a cluster:
  # runtimeRef: {{name: cuda}}    # what the admin fixed: kubectl get clusterrlhfruntimes
  # storage: {{output: {{size: 50Gi}}}}
"""

_RL = """\
      keys: {{prompt: prompt, label: label}}
      applyChatTemplate: false    # true renders prompts with the model's chat template
      promptMaxLength: 512        # longer prompts are left out
    reward:
      functions:
        # a .py file with reward_func(queries, prompts, labels), a number for each query
        - source: {reward}
    rl:
      algorithm: {algorithm}    # fills advantage, policyLoss and kl; each may be overridden
      groupSize: 8                # completions for each prompt
      rolloutBatchSize: 16        # prompts a step
    rollout:
      sampling: {{temperature: 1.0, maxTokens: 256}}
"""
_SFT = """\
      keys: {{prompt: prompt, response: label}}    # or messages: a column with whole chats
      applyChatTemplate: false    # true renders texts and chats with the model's chat template
      maxLength: 2048             # longer samples are cut
    sft:
      lossOn: AssistantTurns      # or LastAssistantTurn, AllTokens
"""
_DPO = """\
      keys: {{prompt: prompt, chosen: chosen, rejected: rejected}}
      applyChatTemplate: false    # true renders prompts with the model's chat template
      maxLength: 2048             # longer responses are cut
    dpo:
      loss: Sigmoid               # or IPO
      beta: 0.1                   # larger holds the policy closer to the reference
"""


@dataclass(frozen=True)
class Start:
    """What a manifest of a recipe begins with."""

    parts: str
    """The lines that only this recipe has, as a template."""
    data: str
    """A dataset of such columns that ships with the package."""


STARTS: dict[RecipeName, Start] = {
    "RL": Start(_RL, "builtin://sums"),
    "SFT": Start(_SFT, "builtin://copy"),
    "DPO": Start(_DPO, "builtin://pairs"),
}


@dataclass(frozen=True)
class Wishes:
    """The options of `rlhf init`."""

    recipe: str = "RL"
    algorithm: str = "GRPO"
    model: str = "builtin://tiny"
    data: str | None = None
    """None: a small dataset that ships with the package."""
    reward: str = "builtin://sums"
    name: str = "my-run"


def init(wishes: Wishes) -> int:
    """Prints a manifest that validates; ConfigurationError names the option that is wrong."""
    write_out(manifest_text(wishes))
    return 0


def manifest_text(wishes: Wishes) -> str:
    """The manifest that `rlhf init` prints."""
    _check("--recipe", wishes.recipe, tuple(STARTS))
    _check("--algorithm", wishes.algorithm, get_args(Algorithm))
    is_toy = wishes.model.startswith("builtin://")
    recipe = next(name for name in STARTS if name == wishes.recipe)
    start = STARTS[recipe]
    text = TEMPLATE.format(
        name=_quoted(wishes.name),
        recipe=recipe,
        parts=start.parts.format(reward=_quoted(wishes.reward), algorithm=wishes.algorithm),
        model=_quoted(wishes.model),
        data=_quoted(wishes.data or start.data),
        roles=", ".join(RECIPES[recipe].roles),
        dtype="Float32" if is_toy else "BFloat16",
        learning_rate="1.0e-3" if is_toy else "1.0e-6",
    )
    problems = judge_content(text.encode(), "manifest").problems
    if problems:
        lines = [f"{problem.field}: {problem.message}; {problem.fix}" for problem in problems]
        raise ConfigurationError("\n".join(lines))
    return text


def _check(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{option} {value}: use one of {', '.join(choices)}")


def _quoted(text: str) -> str:
    """The text as a YAML scalar, quoted only where it must be."""
    return text if PLAIN.fullmatch(text) and resolve_plain(text) == text else json.dumps(text)
