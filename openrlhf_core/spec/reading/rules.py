"""Collects the rules that cross fields. Each is written beside its class in `spec/kinds`."""

from openrlhf_core.spec.kinds import (
    data,
    job,
    kubernetes,
    learner,
    model,
    placement,
    placement_rules,
    rl_rules,
    rollout,
    runtime,
    storage,
    training_rules,
)
from openrlhf_core.spec.kinds.rule import Rule

RULES: tuple[Rule, ...] = (
    *training_rules.RULES,
    *placement_rules.RULES,
    *rl_rules.RULES,
    *placement.RULES,
    *model.RULES,
    *learner.RULES,
    *data.RULES,
    *rollout.RULES,
    *storage.RULES,
    *runtime.RULES,
    *job.RULES,
    *kubernetes.RULES,
)


def rules_of(spec_class: type) -> list[Rule]:
    """Rules about a class."""
    return [rule for rule in RULES if issubclass(spec_class, rule.on)]
