"""The rules of `RLSpec`. They read the presets, so they stand beside the class's file."""

from collections.abc import Iterator

from openrlhf_core.spec.kinds.rl import RLSpec
from openrlhf_core.spec.kinds.rule import Rule, Violation, at, cel_list
from openrlhf_core.spec.planning.presets import GROUP_ESTIMATORS, algorithms_where, resolve_rl


def _baseline_has_a_group(rl: RLSpec) -> Iterator[Violation]:
    estimator = resolve_rl(rl).advantage.estimator
    if rl.group_size < 2 and estimator in GROUP_ESTIMATORS:
        yield Violation(
            at("groupSize"),
            f"is {rl.group_size}: estimator {estimator} compares the completions of a prompt",
            "take at least 2, or advantage.estimator: Return",
        )


_NEEDS_GROUP = (
    "(has(self.advantage) && has(self.advantage.estimator) "
    "? self.advantage.estimator != 'Return' : self.algorithm in "
    f"{cel_list(algorithms_where(lambda preset: preset.advantage.estimator in GROUP_ESTIMATORS))})"
)

RULES: tuple[Rule, ...] = (
    Rule(
        on=RLSpec,
        claim="groupSize is at least 2, unless advantage.estimator is Return",
        reads=("groupSize", "advantage", "algorithm"),
        check=_baseline_has_a_group,
        cel=f"self.groupSize >= 2 || !{_NEEDS_GROUP}",
    ),
)
