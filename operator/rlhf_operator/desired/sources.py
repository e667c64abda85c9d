"""Every source URI of a training spec with the path of its field and what it is used for."""

from collections.abc import Iterator
from dataclasses import dataclass

from openrlhf_core.spec.kinds.sources import Source, Use, parse_source
from openrlhf_core.spec.kinds.training import TrainingSpec


@dataclass(frozen=True)
class NamedSource:
    """A source and where the manifest says it."""

    path: str
    text: str
    use: Use

    def parsed(self) -> Source:
        """Its parts. ValueError when it is no source of this use."""
        return parse_source(self.text, self.use)


def sources_of(training: TrainingSpec) -> tuple[NamedSource, ...]:
    """The sources that the run opens."""
    return tuple(_sources(training))


def _sources(training: TrainingSpec) -> Iterator[NamedSource]:
    root = "spec.training"
    policy, reference = training.model.policy, training.model.reference
    yield NamedSource(f"{root}.model.policy.source", policy.source, "model")
    if policy.chat_template is not None and policy.chat_template.source:
        path = f"{root}.model.policy.chatTemplate.source"
        yield NamedSource(path, policy.chat_template.source, "template")
    if reference is not None and reference.source:
        yield NamedSource(f"{root}.model.reference.source", reference.source, "model")
    for dataset in training.data.train:
        yield NamedSource(f"{root}.data.train[{dataset.name}].source", dataset.source, "data")
    for function in training.reward.functions if training.reward else ():
        path = f"{root}.reward.functions[{function.name}].source"
        yield NamedSource(path, function.source, "function")
