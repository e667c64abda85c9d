"""The rules of `TrainingSpec` about its recipe, batches and data.

Those about its placement are in `openrlhf_core.spec.kinds.placement_rules`.
"""

from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any

from pydantic.alias_generators import to_snake

from openrlhf_core.spec.kinds.recipes import RECIPES, Part, Recipe
from openrlhf_core.spec.kinds.rule import Rule, Violation, at, cel_list
from openrlhf_core.spec.kinds.training import TrainingSpec
from openrlhf_core.spec.planning.presets import resolve_learner, resolve_rl


def part_rules(recipes: Mapping[str, Recipe]) -> tuple[Rule, ...]:
    """What a table of recipes says of manifests: which parts must be set, and which must not."""
    parts = dict.fromkeys(part for recipe in recipes.values() for part in recipe.parts)
    required = [
        _required(name, part) for name, recipe in recipes.items() for part in recipe.requires
    ]
    readers = {part: [name for name in recipes if part in recipes[name].parts] for part in parts}
    limited = [_limited(part, names) for part, names in readers.items() if names != [*recipes]]
    return (*required, *limited)


def _required(recipe: str, part: Part) -> Rule:
    """A part that a recipe cannot do without."""

    def check(training: TrainingSpec) -> Iterator[Violation]:
        if training.recipe == recipe and _value(training, part) is None:
            yield Violation(at(part), f"is missing, and recipe {recipe} needs it", "add it")

    return Rule(
        on=TrainingSpec,
        claim=f"recipe {recipe} needs {part}",
        reads=("recipe", part),
        check=check,
        cel=f"self.recipe != '{recipe}' || has(self.{part})",
    )


def _limited(part: Part, readers: list[str]) -> Rule:
    """A part that some recipes do not read: set in vain, it would be passed over in silence."""
    listed = ", ".join(readers)

    def check(training: TrainingSpec) -> Iterator[Violation]:
        if training.recipe not in readers and _value(training, part) is not None:
            yield Violation(
                at(part),
                f"is set, and recipe {training.recipe} does not read it",
                f"remove it, or take a recipe that reads it: {listed}",
            )

    return Rule(
        on=TrainingSpec,
        claim=f"{part} is only for recipe {listed}",
        reads=("recipe", part),
        check=check,
        cel=f"!has(self.{part}) || self.recipe in {cel_list(readers)}",
    )


def _value(training: TrainingSpec, part: Part) -> Any:
    """The value of a part; None where it is absent."""
    return attrgetter(to_snake(part))(training)


def _one_duration(training: TrainingSpec) -> Iterator[Violation]:
    if training.max_steps is not None and training.epochs is not None:
        yield Violation(at("epochs"), "maxSteps is set too", "keep one of maxSteps and epochs")
    if training.max_steps is None and training.epochs is None:
        yield Violation(
            at("maxSteps"), "neither maxSteps nor epochs is set", "set how long to train"
        )


def _whole_train_batches(training: TrainingSpec) -> Iterator[Violation]:
    if training.rl is None:
        return
    rl = resolve_rl(training.rl)
    size = resolve_learner(training.learner, rl).train_batch_size
    if rl.num_samples % size:
        yield Violation(
            at("learner.trainBatchSize"),
            f"is {size}, which does not divide the {rl.num_samples} completions of a step "
            f"(rolloutBatchSize {rl.rollout_batch_size} x groupSize {rl.group_size})",
            f"take a divisor, as {_divisor_below(rl.num_samples, size)}",
        )


def _divisor_below(number: int, bound: int) -> int:
    return next(d for d in range(min(bound, number), 0, -1) if number % d == 0)


def _chat_template_is_used(training: TrainingSpec) -> Iterator[Violation]:
    if training.model.policy.chat_template and not training.data.apply_chat_template:
        yield Violation(
            at("model.policy.chatTemplate"),
            "is set, but data.applyChatTemplate is false, so that it has no effect",
            "set data.applyChatTemplate: true",
        )


RULES: tuple[Rule, ...] = (
    *part_rules(RECIPES),
    Rule(
        on=TrainingSpec,
        claim="exactly one of maxSteps and epochs",
        reads=("maxSteps", "epochs"),
        check=_one_duration,
        cel="has(self.maxSteps) != has(self.epochs)",
    ),
    Rule(
        on=TrainingSpec,
        claim="learner.trainBatchSize divides rl.rolloutBatchSize x rl.groupSize",
        reads=("learner.trainBatchSize", "rl.rolloutBatchSize", "rl.groupSize", "rl.algorithm"),
        check=_whole_train_batches,
        cel="!has(self.learner.trainBatchSize) || !has(self.rl) || "
        "self.rl.rolloutBatchSize * self.rl.groupSize % self.learner.trainBatchSize == 0",
    ),
    Rule(
        on=TrainingSpec,
        claim="model.policy.chatTemplate needs data.applyChatTemplate",
        reads=("model.policy", "data.applyChatTemplate"),
        check=_chat_template_is_used,
        cel="!has(self.model.policy.chatTemplate) || self.data.applyChatTemplate",
    ),
)
