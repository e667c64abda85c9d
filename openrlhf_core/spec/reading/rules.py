"""Rules that cross fields: each once, in Python and, where CEL can say it, for the API server.

`RULES` is the table. A rule is about one spec class; `check` gives what is wrong in an instance of
it, and `cel` says the same of the object (`self`), after defaults are filled in. The CRDs carry the
CEL; `rlhf validate`, the driver and the operator use Python. Rules without a check are about edits,
which only the API server sees.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from openrlhf_core.spec.kinds.data import DataSpec
from openrlhf_core.spec.kinds.job import RLHFJob, RLHFJobSpec
from openrlhf_core.spec.kinds.learner import LearnerSpec
from openrlhf_core.spec.kinds.model import ChatTemplateSpec
from openrlhf_core.spec.kinds.placement import PlacementSpec, WorkerGroupSpec
from openrlhf_core.spec.kinds.rl import RLSpec
from openrlhf_core.spec.kinds.rollout import SamplingSpec
from openrlhf_core.spec.kinds.runtime import DeviceSpec
from openrlhf_core.spec.kinds.storage import CacheStorageSpec, OutputStorageSpec
from openrlhf_core.spec.kinds.training import TrainingSpec
from openrlhf_core.spec.planning.plan import num_engines
from openrlhf_core.spec.planning.presets import (
    GROUP_ESTIMATORS,
    PRESETS,
    resolve_learner,
    resolve_rl,
)
from openrlhf_core.spec.planning.roles import why_not_needed
from openrlhf_core.spec.reading.problem import Violation
from openrlhf_core.spec.reading.yaml_reader import Path

HEAD_GROUP = "head"


@dataclass(frozen=True)
class Rule:
    """One claim about instances of a spec class."""

    on: type
    claim: str
    """What must hold, in a sentence; the API server's message."""
    reads: tuple[str, ...] = ()
    """Fields (dotted, relative) it reads: where one of them is wrong already, it is not judged."""
    check: Callable[[Any], Iterator[Violation]] | None = None
    cel: str = ""


def _at(field: str) -> Path:
    return tuple(field.split("."))


def _one_duration(training: TrainingSpec) -> Iterator[Violation]:
    if training.max_steps is not None and training.epochs is not None:
        yield Violation(_at("epochs"), "maxSteps is set too", "keep one of maxSteps and epochs")
    if training.max_steps is None and training.epochs is None:
        yield Violation(
            _at("maxSteps"), "neither maxSteps nor epochs is set", "set how long to train"
        )


def _whole_train_batches(training: TrainingSpec) -> Iterator[Violation]:
    rl = resolve_rl(training.rl)
    size = resolve_learner(training.learner, rl).train_batch_size
    if rl.num_samples % size:
        yield Violation(
            _at("learner.trainBatchSize"),
            f"is {size}, which does not divide the {rl.num_samples} completions of a step "
            f"(rolloutBatchSize {rl.rollout_batch_size} x groupSize {rl.group_size})",
            f"take a divisor, as {_divisor_below(rl.num_samples, size)}",
        )


def _divisor_below(number: int, bound: int) -> int:
    return next(d for d in range(min(bound, number), 0, -1) if number % d == 0)


def _a_sample_for_every_rank(training: TrainingSpec) -> Iterator[Violation]:
    rl = resolve_rl(training.rl)
    size = resolve_learner(training.learner, rl).train_batch_size
    groups = _groups_of("Policy", training.placement)
    ranks = max((group.nodes * group.devices_per_node for group in groups), default=0)
    if size < ranks:
        yield Violation(
            _at("learner.trainBatchSize"),
            f"is {size} for {ranks} learner ranks, so that some have nothing to learn from",
            f"take at least {ranks}, or give the Policy's group fewer devices",
        )


def _groups_of(role: str, placement: PlacementSpec) -> list[WorkerGroupSpec]:
    return [group for group in placement.groups if role in group.roles]


def _trained_roles_placed(training: TrainingSpec) -> Iterator[Violation]:
    yield from _placed_once("Policy", training.placement)
    if not _groups_of("Rollout", training.placement):
        yield _unplaced("Rollout")


def _reference_placed(training: TrainingSpec) -> Iterator[Violation]:
    if why_not_needed(training, "Reference") is None:
        yield from _placed_once("Reference", training.placement)


def _placed_once(role: str, placement: PlacementSpec) -> Iterator[Violation]:
    names = [group.name for group in _groups_of(role, placement)]
    if not names:
        yield _unplaced(role)
    if len(names) > 1:
        yield Violation(
            _at("placement.groups"),
            f"the groups {', '.join(names)} all list the role {role}",
            "keep it in one of them",
        )


def _unplaced(role: str) -> Violation:
    return Violation(
        _at("placement.groups"),
        f"no group lists the role {role}",
        f"add {role} to the roles of a group",
    )


def _engines_fit(training: TrainingSpec) -> Iterator[Violation]:
    size = training.rollout.tensor_parallel_size
    for group in _groups_of("Rollout", training.placement):
        if not num_engines(group, size):
            yield Violation(
                _at("rollout.tensorParallelSize"),
                f"is {size}, but group {group.name} has {group.nodes} nodes of "
                f"{group.devices_per_node} devices: an engine lies within a node or fills nodes",
                f"take a divisor of {group.devices_per_node}, or whole nodes that divide the group",
            )


def _weights_can_travel(training: TrainingSpec) -> Iterator[Violation]:
    backend = training.weight_sync.backend
    for group in _groups_of("Rollout", training.placement):
        shares = "Policy" in group.roles
        if backend == "CUDAIPC" and not shares:
            yield Violation(
                _at("weightSync.backend"),
                f"is CUDAIPC, but the engines of group {group.name} share no device with the "
                "Policy",
                "take Auto or NCCL, or add Rollout to the Policy's group only",
            )
        if backend == "NCCL" and shares:
            yield Violation(
                _at("weightSync.backend"),
                f"is NCCL, which joins no two processes on one device, as in group {group.name}",
                "take Auto or CUDAIPC, or give Rollout a group of its own",
            )


def _chat_template_is_used(training: TrainingSpec) -> Iterator[Violation]:
    if training.model.policy.chat_template and not training.data.apply_chat_template:
        yield Violation(
            _at("model.policy.chatTemplate"),
            "is set, but data.applyChatTemplate is false, so that it has no effect",
            "set data.applyChatTemplate: true",
        )


def _baseline_has_a_group(rl: RLSpec) -> Iterator[Violation]:
    estimator = resolve_rl(rl).advantage.estimator
    if rl.group_size < 2 and estimator in GROUP_ESTIMATORS:
        yield Violation(
            _at("groupSize"),
            f"is {rl.group_size}: estimator {estimator} compares the completions of a prompt",
            "take at least 2, or advantage.estimator: Return",
        )


def _no_group_named_head(placement: PlacementSpec) -> Iterator[Violation]:
    for index, group in enumerate(placement.groups):
        if group.name == HEAD_GROUP:
            yield Violation(
                ("groups", index, "name"),
                "is head, the name of the Ray head's own group",
                "take another name",
            )


def _one_template(template: ChatTemplateSpec) -> Iterator[Violation]:
    if (template.text is None) == (template.source is None):
        yield Violation((), "needs exactly one of text and source", "set one of them")


def _one_way_to_fill(learner: LearnerSpec) -> Iterator[Violation]:
    if learner.micro_batch_size is not None and learner.max_tokens_per_micro_batch is not None:
        yield Violation(
            _at("maxTokensPerMicroBatch"), "microBatchSize is set too", "keep one of the two"
        )


def _one_prompt_form(data: DataSpec) -> Iterator[Violation]:
    if data.apply_chat_template and data.input_template is not None:
        yield Violation(
            _at("inputTemplate"),
            "applyChatTemplate is true too",
            "keep one of applyChatTemplate and inputTemplate",
        )


def _template_has_a_place(data: DataSpec) -> Iterator[Violation]:
    if data.input_template is not None and "{}" not in data.input_template:
        yield Violation(
            _at("inputTemplate"),
            "has no {} for the prompt",
            "write {} where the prompt belongs",
        )


def _shortest_below_longest(sampling: SamplingSpec) -> Iterator[Violation]:
    if sampling.min_tokens > sampling.max_tokens:
        yield Violation(
            _at("minTokens"),
            f"is {sampling.min_tokens}, more than maxTokens ({sampling.max_tokens})",
            "lower it, or raise maxTokens",
        )


def _stop_texts_say_something(sampling: SamplingSpec) -> Iterator[Violation]:
    for index, text in enumerate(sampling.stop):
        if not text:
            yield Violation(("stop", index), "is empty and would end every completion", "remove it")


def _one_volume(storage: OutputStorageSpec | CacheStorageSpec) -> Iterator[Violation]:
    if (storage.claim_name is None) == (storage.size is None):
        yield Violation((), "needs exactly one of claimName and size", "set one of them")


def _claim_settings(output: OutputStorageSpec) -> Iterator[Violation]:
    if output.sub_path is not None and output.claim_name is None:
        yield Violation(_at("subPath"), "needs claimName", "name the claim, or remove subPath")
    if output.size is None:
        for field in ("storageClassName", "accessMode"):
            if field in output.to_manifest():
                yield Violation(
                    _at(field), "is about a claim that is made from size", f"remove {field}"
                )


def _device_resource(device: DeviceSpec) -> Iterator[Violation]:
    if device.kind == "CPU" and device.resource_name is not None:
        yield Violation(
            _at("resourceName"), "is for CUDA devices; a CPU device is cpus cores", "remove it"
        )


def _overrides_name_groups(job: RLHFJobSpec) -> Iterator[Violation]:
    names = {HEAD_GROUP, *(group.name for group in job.training.placement.groups)}
    for index, group in enumerate(job.cluster.groups):
        if group.name not in names:
            yield Violation(
                ("cluster", "groups", index, "name"),
                f"is {group.name}, which is no worker group",
                f"use one of {', '.join(sorted(names))}",
            )


def _presets_where(is_so: Callable[[Any], bool]) -> str:
    """A CEL list of the algorithms whose preset is so."""
    return "[" + ", ".join(f"'{name}'" for name, preset in PRESETS.items() if is_so(preset)) + "]"


_HAS_REFERENCE = (
    "(has(self.rl.kl) && has(self.rl.kl.coefficient) ? self.rl.kl.coefficient > 0.0 : "
    f"self.rl.algorithm in {_presets_where(lambda preset: preset.kl.needs_reference)})"
)
_NEEDS_GROUP = (
    "(has(self.advantage) && has(self.advantage.estimator) "
    "? self.advantage.estimator != 'Return' : self.algorithm in "
    f"{_presets_where(lambda preset: preset.advantage.estimator in GROUP_ESTIMATORS)})"
)
_GROUPS = "self.placement.groups"
_SAMPLES = "self.rl.rolloutBatchSize * self.rl.groupSize"
_TRAIN_BATCH = f"(has(self.learner.trainBatchSize) ? self.learner.trainBatchSize : {_SAMPLES})"
_TP = "self.rollout.tensorParallelSize"
_BATCH_FIELDS = ("learner.trainBatchSize", "rl.rolloutBatchSize", "rl.groupSize", "rl.algorithm")

RULES: tuple[Rule, ...] = (
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
        reads=_BATCH_FIELDS,
        check=_whole_train_batches,
        cel=f"!has(self.learner.trainBatchSize) || {_SAMPLES} % self.learner.trainBatchSize == 0",
    ),
    Rule(
        on=TrainingSpec,
        claim="learner.trainBatchSize is at least the number of learner ranks",
        reads=(*_BATCH_FIELDS, "placement.groups"),
        check=_a_sample_for_every_rank,
        cel=f"{_GROUPS}.all(g, !('Policy' in g.roles) || "
        f"g.nodes * g.devicesPerNode <= {_TRAIN_BATCH})",
    ),
    Rule(
        on=TrainingSpec,
        claim="Policy is in exactly one group, Rollout in one or more",
        reads=("placement.groups",),
        check=_trained_roles_placed,
        cel=f"{_GROUPS}.filter(g, 'Policy' in g.roles).size() == 1 && "
        f"{_GROUPS}.exists(g, 'Rollout' in g.roles)",
    ),
    Rule(
        on=TrainingSpec,
        claim="Reference is in exactly one group, unless rl.kl.coefficient is 0",
        reads=("placement.groups", "rl.kl", "rl.algorithm"),
        check=_reference_placed,
        cel=f"!{_HAS_REFERENCE} || {_GROUPS}.filter(g, 'Reference' in g.roles).size() == 1",
    ),
    Rule(
        on=TrainingSpec,
        claim="an engine (rollout.tensorParallelSize) lies within a node or fills whole nodes",
        reads=("placement.groups", "rollout.tensorParallelSize"),
        check=_engines_fit,
        cel=f"{_GROUPS}.all(g, !('Rollout' in g.roles) || g.devicesPerNode % {_TP} == 0 || "
        f"({_TP} % g.devicesPerNode == 0 && g.nodes % ({_TP} / g.devicesPerNode) == 0))",
    ),
    Rule(
        on=TrainingSpec,
        claim="weightSync.backend CUDAIPC needs every engine in the Policy's group, NCCL none",
        reads=("placement.groups", "weightSync.backend"),
        check=_weights_can_travel,
        cel=f"{_GROUPS}.all(g, !('Rollout' in g.roles) || ('Policy' in g.roles ? "
        "self.weightSync.backend != 'NCCL' : self.weightSync.backend != 'CUDAIPC'))",
    ),
    Rule(
        on=TrainingSpec,
        claim="model.policy.chatTemplate needs data.applyChatTemplate",
        reads=("model.policy", "data.applyChatTemplate"),
        check=_chat_template_is_used,
        cel="!has(self.model.policy.chatTemplate) || self.data.applyChatTemplate",
    ),
    Rule(
        on=RLSpec,
        claim="groupSize is at least 2, unless advantage.estimator is Return",
        reads=("groupSize", "advantage", "algorithm"),
        check=_baseline_has_a_group,
        cel=f"self.groupSize >= 2 || !{_NEEDS_GROUP}",
    ),
    Rule(
        on=PlacementSpec,
        claim="no group is named head",
        reads=("groups",),
        check=_no_group_named_head,
        cel=f"self.groups.all(g, g.name != '{HEAD_GROUP}')",
    ),
    Rule(
        on=ChatTemplateSpec,
        claim="exactly one of text and source",
        reads=("text", "source"),
        check=_one_template,
        cel="has(self.text) != has(self.source)",
    ),
    Rule(
        on=LearnerSpec,
        claim="at most one of microBatchSize and maxTokensPerMicroBatch",
        reads=("microBatchSize", "maxTokensPerMicroBatch"),
        check=_one_way_to_fill,
        cel="!(has(self.microBatchSize) && has(self.maxTokensPerMicroBatch))",
    ),
    Rule(
        on=DataSpec,
        claim="at most one of applyChatTemplate and inputTemplate",
        reads=("applyChatTemplate", "inputTemplate"),
        check=_one_prompt_form,
        cel="!(self.applyChatTemplate && has(self.inputTemplate))",
    ),
    Rule(
        on=DataSpec,
        claim="inputTemplate has {} for the prompt",
        reads=("inputTemplate",),
        check=_template_has_a_place,
        cel="!has(self.inputTemplate) || self.inputTemplate.contains('{}')",
    ),
    Rule(
        on=SamplingSpec,
        claim="minTokens is at most maxTokens",
        reads=("minTokens", "maxTokens"),
        check=_shortest_below_longest,
        cel="self.minTokens <= self.maxTokens",
    ),
    Rule(
        on=SamplingSpec,
        claim="no stop text is empty",
        reads=("stop",),
        check=_stop_texts_say_something,
        cel="!has(self.stop) || self.stop.all(text, text != '')",
    ),
    Rule(
        on=OutputStorageSpec,
        claim="exactly one of claimName and size",
        reads=("claimName", "size"),
        check=_one_volume,
        cel="has(self.claimName) != has(self.size)",
    ),
    Rule(
        on=OutputStorageSpec,
        claim="subPath goes with claimName; storageClassName and accessMode with size",
        reads=("claimName", "size", "subPath"),
        check=_claim_settings,
        cel="has(self.size) ? !has(self.subPath) : "
        "!has(self.storageClassName) && !has(self.accessMode)",
    ),
    Rule(
        on=CacheStorageSpec,
        claim="exactly one of claimName and size",
        reads=("claimName", "size"),
        check=_one_volume,
        cel="has(self.claimName) != has(self.size)",
    ),
    Rule(
        on=DeviceSpec,
        claim="resourceName is for CUDA devices",
        reads=("kind", "resourceName"),
        check=_device_resource,
        cel="self.kind == 'CUDA' || !has(self.resourceName)",
    ),
    Rule(
        on=RLHFJobSpec,
        claim="cluster.groups are named as groups of training.placement, or head",
        reads=("cluster.groups", "training.placement"),
        check=_overrides_name_groups,
        cel="!has(self.cluster.groups) || self.cluster.groups.all(o, o.name == 'head' || "
        "self.training.placement.groups.exists(g, g.name == o.name))",
    ),
    Rule(
        on=RLHFJob,
        claim="metadata.name has at most 40 characters: lowercase letters, digits and -, "
        "beginning with a letter",
        cel="self.metadata.name.size() <= 40 && "
        "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
    ),
    Rule(
        on=RLHFJob,
        claim="once an attempt has begun only suspend, the deadlines, ttlSecondsAfterFinished and "
        "cleanup may change; make another job for other settings",
        cel="!has(oldSelf.status) || !has(oldSelf.status.attempt) || ("
        "self.spec.training == oldSelf.spec.training && "
        "has(self.spec.runtimeRef) == has(oldSelf.spec.runtimeRef) && "
        "(!has(self.spec.runtimeRef) || self.spec.runtimeRef == oldSelf.spec.runtimeRef) && "
        "self.spec.storage == oldSelf.spec.storage && "
        "self.spec.cluster == oldSelf.spec.cluster && "
        "self.spec.scheduling == oldSelf.spec.scheduling && "
        "self.spec.lifecycle.backoffLimit == oldSelf.spec.lifecycle.backoffLimit && "
        "self.spec.lifecycle.backoffSeconds == oldSelf.spec.lifecycle.backoffSeconds && "
        "self.spec.lifecycle.gracePeriodSeconds == oldSelf.spec.lifecycle.gracePeriodSeconds)",
    ),
)


def rules_of(spec_class: type) -> list[Rule]:
    """Rules about a class."""
    return [rule for rule in RULES if issubclass(spec_class, rule.on)]
