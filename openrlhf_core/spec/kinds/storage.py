"""`spec.storage`: where a cluster keeps results and downloads."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from openrlhf_core.spec.kinds.base import SpecModel
from openrlhf_core.spec.kinds.kubernetes import DNSName
from openrlhf_core.spec.kinds.quantity import Quantity
from openrlhf_core.spec.kinds.rule import Rule, Violation, at

AccessMode = Literal["ReadWriteMany", "ReadWriteOnce"]
SUB_PATH_PATTERN = r"^\.?[A-Za-z0-9_-][A-Za-z0-9._-]*(/\.?[A-Za-z0-9_-][A-Za-z0-9._-]*)*$"


class OutputStorageSpec(SpecModel):
    """The volume of checkpoints, metrics and the model: exactly one of `claimName` and `size`."""

    claim_name: DNSName | None = Field(
        None, description="An existing PersistentVolumeClaim of the job's namespace."
    )
    sub_path: Annotated[str, Field(max_length=1024, pattern=SUB_PATH_PATTERN)] | None = Field(
        None,
        description="Directory in the claim; set it to continue an earlier job. "
        "Default: <job>-<first 8 characters of its uid>.",
    )
    size: Quantity | None = Field(
        None,
        description="Create a claim <job>-output of this size; it stays when the job is deleted.",
    )
    storage_class_name: DNSName | None = Field(
        None, description="StorageClass of the claim that is created. Default: the cluster's."
    )
    access_mode: AccessMode | None = Field(
        None,
        description="Access mode of the claim that is created. ReadWriteOnce puts all pods on one "
        "node. Default: ReadWriteMany.",
    )


class CacheStorageSpec(SpecModel):
    """Downloaded models and datasets: exactly one of `claimName` and `size`."""

    claim_name: DNSName | None = Field(
        None, description="An existing PersistentVolumeClaim, shared by attempts and jobs."
    )
    size: Quantity | None = Field(
        None, description="Size limit of an emptyDir in each pod, deleted with the pod."
    )


class StorageSpec(SpecModel):
    """Volumes on a cluster; a local run takes --output."""

    output: OutputStorageSpec | None = Field(
        None, description="Volume of the results. Default: the runtime's."
    )
    cache: CacheStorageSpec | None = Field(
        None, description="Volume of downloads (HF_HOME). Default: the runtime's."
    )


def _one_volume(storage: OutputStorageSpec | CacheStorageSpec) -> Iterator[Violation]:
    if (storage.claim_name is None) == (storage.size is None):
        yield Violation((), "needs exactly one of claimName and size", "set one of them")


def _claim_settings(output: OutputStorageSpec) -> Iterator[Violation]:
    if output.sub_path is not None and output.claim_name is None:
        yield Violation(at("subPath"), "needs claimName", "name the claim, or remove subPath")
    if output.size is None:
        for field in ("storageClassName", "accessMode"):
            if field in output.to_manifest():
                yield Violation(
                    at(field), "is about a claim that is made from size", f"remove {field}"
                )


RULES: tuple[Rule, ...] = (
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
)
