"""The gloo transport, inside vLLM's workers.

vLLM imports the module of `worker_extension_cls` in every worker before it makes the transport;
that is the public way to add one, and why this module registers at import.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from vllm.distributed.weight_transfer import WeightTransferEngine, WeightTransferEngineFactory
from vllm.distributed.weight_transfer.base import (
    WeightTransferInitInfo,
    WeightTransferUpdateInfo,
)
from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm
from vllm.model_executor.layers.vocab_parallel_embedding import VocabParallelEmbedding
from vllm.model_executor.model_loader.reload import (
    finalize_layerwise_reload,
    initialize_layerwise_reload,
)

from openrlhf_core.engines.protocols import SyncGroup, WeightInfo
from openrlhf_core.engines.weight_sync.buckets import Bucket, plan_buckets, unpack
from openrlhf_core.engines.weight_sync.deadline import Deadline
from openrlhf_core.engines.weight_sync.gloo_group import GlooGroup
from openrlhf_core.spec.exit_codes import ConfigurationError


class WorkerExtension:
    """Adds nothing to a worker but the import of this module."""


@dataclass
class GlooInitInfo(WeightTransferInitInfo):
    """What GlooReceiver.init_info holds."""

    host: str
    port: int
    first_rank: int
    world_size: int
    timeout_seconds: float
    bucket_bytes: int
    names: list[str]
    dtype_names: list[str]
    shapes: list[list[int]]

    @property
    def group(self) -> SyncGroup:
        return SyncGroup(
            self.host, self.port, self.world_size, self.timeout_seconds, self.bucket_bytes
        )

    @property
    def buckets(self) -> list[Bucket]:
        columns = zip(self.names, self.dtype_names, self.shapes, strict=True)
        weights = [WeightInfo(name, dtype, tuple(shape)) for name, dtype, shape in columns]
        return plan_buckets(weights, self.bucket_bytes)


@dataclass
class GlooUpdateInfo(WeightTransferUpdateInfo):
    """Empty: what comes is known from the start."""


class GlooWeightTransferEngine(WeightTransferEngine[GlooInitInfo, GlooUpdateInfo]):
    """Takes GlooSender's buckets and loads them as a checkpoint's weights."""

    init_info_cls = GlooInitInfo
    update_info_cls = GlooUpdateInfo

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._parameters = {name for name, _ in self.model.named_parameters()}
        self._buckets: list[Bucket] = []
        self._timeout_seconds = 0.0
        self._group: GlooGroup | None = None

    def init_transfer_engine(self, init_info: GlooInitInfo) -> None:
        self._buckets = init_info.buckets
        self._timeout_seconds = init_info.timeout_seconds
        rank = init_info.first_rank + self.parallel_config.rank
        self._group = GlooGroup(init_info.group, rank)

    def start_weight_update(self) -> None:
        if self.device.type == "cpu":
            forget_packed_experts(self.model)
        initialize_layerwise_reload(self.model)

    def receive_weights(self, update_info: GlooUpdateInfo) -> None:
        """Loads every bucket; RetryableError names the one that did not come."""
        assert self._group is not None, "receive_weights before init_transfer_engine"
        try:
            self._receive_all(self._group)
        except BaseException:
            # The learner would wait out its timeout for a receiver that is gone.
            self.shutdown()
            raise

    def _receive_all(self, group: GlooGroup) -> None:
        deadline = Deadline(self._timeout_seconds)
        loaded: set[str] = set()
        for number, bucket in enumerate(self._buckets, start=1):
            what = f"bucket {number} of {len(self._buckets)}, {bucket.describe()}, did not arrive"
            loaded |= self._receive(bucket, group, what, deadline)
        self._check_complete(loaded)
        num_bytes = sum(bucket.num_bytes for bucket in self._buckets)
        group.total(num_bytes, "the learner did not end the round", deadline)

    def _receive(self, bucket: Bucket, group: GlooGroup, what: str, deadline: Deadline) -> set[str]:
        # A new buffer each time: vLLM keeps the tensors until it has a whole layer.
        flat = torch.empty(bucket.num_bytes, dtype=torch.uint8)
        group.broadcast(flat, what, deadline)
        weights = [(name, tensor.to(self.device)) for name, tensor in unpack(bucket, flat)]
        model: Any = self.model
        return set(model.load_weights(weights) or ())

    def _check_complete(self, loaded: set[str]) -> None:
        if loaded and (missing := sorted(self._parameters - loaded)):
            raise ConfigurationError(
                f"the learner sent no weights for {len(missing)} parameters of the engine, "
                f"{missing[0]} among them; this kind of model cannot be trained here"
            )

    def finish_weight_update(self) -> None:
        finalize: Callable[[nn.Module, Any], None] = finalize_layerwise_reload
        finalize(self.model, self.model_config)
        if self.device.type == "cpu":
            repack_embeddings(self.model)

    def shutdown(self) -> None:
        if self._group is not None:
            self._group.close()
            self._group = None


def forget_packed_experts(model: nn.Module) -> None:
    """Makes vLLM pack the weights of experts in the coming update as it did at the first load.

    On CPU vLLM computes experts with weights in an order of its own. It brings them into this order
    only when it builds the kernel of a layer, so an update would leave them as the learner has
    them. A layer without a kernel gets one after its weights have come. Remove this when
    tests/integration/test_weight_sync_layouts.py passes for `qwen3_moe` without it.
    """
    for module in model.modules():
        method: Any = getattr(module, "quant_method", None)
        if getattr(method, "moe_kernel", None) is not None:
            method.moe_kernel = None


def repack_embeddings(model: nn.Module) -> None:
    """Makes the packed copies that embeddings compute with hold their present weights.

    On CPU vLLM multiplies by a oneDNN copy of lm_head, which it makes at loading. A layerwise
    reload packs the layers anew that got weights of their own. A tied lm_head gets none and would
    go on with the old copy, without an error. Remove this when
    tests/integration/test_weight_sync_layouts.py passes for tied models without it. Defects of this
    kind are gathered in https://github.com/vllm-project/vllm/issues/48312.
    """
    for module in model.modules():
        if isinstance(module, VocabParallelEmbedding) and hasattr(module, "cpu_linear"):
            dispatch_cpu_unquantized_gemm(module, remove_weight=False)


WeightTransferEngineFactory.register_engine("gloo", GlooWeightTransferEngine)
# At every sync vLLM warns that layers without weights of their own (rotary embeddings, a tied
# lm_head) "failed to load weights"; _check_complete and the log-prob gap tell true failures.
logging.getLogger(initialize_layerwise_reload.__module__).setLevel(logging.ERROR)
