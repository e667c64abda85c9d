"""Cases of rollout_lab.py: what a weight sync brings, and how it fails."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from inspect import signature
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from rollout_parts import (
    LAYOUTS,
    SETTINGS,
    Model,
    Pair,
    at_once,
    connect,
    error_of,
    gathered,
    generate,
    join,
    load,
    logprob_gap,
    make_model,
    make_requests,
    shared_engine,
    tokens,
    weight_infos,
)
from torch.multiprocessing.reductions import rebuild_cuda_tensor
from transformers import AutoModelForCausalLM, Qwen3MoeConfig
from vllm.distributed.weight_transfer import VLLMWeightSyncClient, ipc_engine, nccl_engine

from openrlhf_core.engines.protocols import SyncGroup, WeightInfo
from openrlhf_core.engines.weight_sync.ipc_channel import (
    IpcPublisher,
    decode_update,
    encode_update,
)
from openrlhf_core.engines.weight_sync.receiver import make_receiver
from openrlhf_core.engines.weight_sync.vllm_sender import RoundSource, SilentClient
from openrlhf_core.models.weight_names import FileLayout, stored_weights


def case_layouts(models: Path) -> dict[str, Any]:
    """Gap to transformers after loading and after two syncs, for each layout, tied and untied."""
    return {
        f"{layout}-{'tied' if tied else 'untied'}": two_syncs(models, layout, tied)
        for layout in LAYOUTS
        for tied in (True, False)
    }


def two_syncs(models: Path, layout: str, tied: bool) -> dict[str, Any]:
    shared = shared_engine(models, layout, tied)
    requests = make_requests(8, 12, 16)
    gaps, versions, start = [shared.loaded_gap], [], shared.pair.version
    for seed in (1, 2):
        versions.append(shared.sync(make_model(layout, tied, seed)) - start)
        gaps.append(logprob_gap(shared.model, requests, generate(shared.engine, requests)))
    stale = make_model(layout, tied, seed=1)
    stale_gap = logprob_gap(stale, requests, generate(shared.engine, requests))
    return {"gaps": gaps, "versions": versions, "stale_gap": stale_gap}


def case_experts(models: Path) -> dict[str, Any]:
    """Gap of mixtures of experts after loading, after a sync of the same weights and of others.

    The second model's experts are not a multiple of what vLLM's kernel takes: it pads them.
    """
    return {
        "even": experts_gaps(models / "even", 32),
        "padded": experts_gaps(models / "padded", 40),
    }


def experts_gaps(directory: Path, expert_size: int) -> list[float]:
    sizes: dict[str, Any] = {"vocab_size": 128, "hidden_size": 64, "num_hidden_layers": 2}
    sizes |= {"head_dim": 32, "initializer_range": 0.2, "eos_token_id": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 96}
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": expert_size}
    config = Qwen3MoeConfig(**(sizes | heads | experts))
    torch.manual_seed(0)
    models: Any = AutoModelForCausalLM
    models.from_config(config, dtype=torch.float32).save_pretrained(directory)
    model = models.from_pretrained(directory, dtype=torch.float32)
    layout, engine = FileLayout(model, directory), load(directory)
    requests = make_requests(6, 12, 16)
    gaps = [logprob_gap(model, requests, generate(engine, requests))]
    named = layout.translate(stored_weights(model))
    pair = join([WeightInfo(name, "float32", tuple(each.shape)) for name, each in named], engine)
    for factor in (1.0, 1.3):
        for parameter in model.parameters():
            parameter.data.mul_(factor)
        pair.sync(layout.translate(stored_weights(model)))
        gaps.append(logprob_gap(model, requests, generate(engine, requests)))
    return gaps


def case_two_engines(models: Path) -> dict[str, Any]:
    """What a second engine and a repeated sync draw, and a bfloat16 engine's gap."""
    model = make_model("qwen2", True, seed=0)
    model.save_pretrained(models / "twins")
    first, second = (load(models / "twins") for _ in range(2))
    half = load(models / "twins", replace(SETTINGS, dtype="BFloat16"))
    requests = make_requests(8, 12, 24)
    before = [tokens(generate(engine, requests)) for engine in (first, first, second)]
    pair = connect(model, first, second, half)
    pair.sync(gathered(make_model("qwen2", True, seed=1)))
    changed = [tokens(generate(engine, requests)) for engine in (first, second)]
    versions = pair.sync(gathered(model))
    back = [tokens(generate(engine, requests)) for engine in (first, second)]
    gap = logprob_gap(model.bfloat16(), requests, generate(half, requests))
    return {
        "before": before,
        "changed": changed,
        "back": back,
        "versions": versions,
        "bfloat16_gap": gap,
    }


def case_failures(models: Path) -> dict[str, Any]:
    """How an engine answers a learner that falls silent, sends too little or leaves one out."""
    model = make_model("llama", False, seed=0)
    model.save_pretrained(models / "failures")
    engine = load(models / "failures")
    silent = connect(model, engine, timeout_seconds=3.0)
    started = monotonic()
    measured: dict[str, Any] = {"silent": error_of(lambda: engine.receive_weights(1))}
    measured["silent_seconds"] = monotonic() - started
    silent.sender.close()
    measured |= broken_sender(model, connect(model, engine, timeout_seconds=60.0))
    infos = [info for info in weight_infos(model) if info.name != "model.norm.weight"]
    group = SyncGroup("127.0.0.1", 1, 2, 1.0, 1 << 16)
    return measured | {"incomplete": error_of(lambda: engine.connect(group, 1, infos))}


def broken_sender(model: Model, pair: Pair) -> dict[str, Any]:
    """A sender that stops after five weights."""
    measured: dict[str, Any] = {}
    started = monotonic()

    def send_half() -> None:
        copies = [(name, each.detach().clone()) for name, each in model.named_parameters()]
        weights: Iterator[tuple[str, torch.Tensor]] = iter(copies[:5])
        try:
            pair.sender.send(weights)
        except ValueError as error:
            measured["sender"] = str(error)

    def receive() -> None:
        measured["broken"] = error_of(lambda: pair.engines[0].receive_weights(1))

    at_once([send_half, receive])
    return measured | {"broken_seconds": monotonic() - started}


def case_contracts(_: Path) -> dict[str, Any]:
    """Whether what we say to vLLM's CUDA transports is what their classes take; needs no GPU."""
    weights = [WeightInfo("a", "float32", (2, 3)), WeightInfo("b", "bfloat16", (4,))]
    group = SyncGroup("127.0.0.1", 29500, 3, 30.0, 1 << 20)
    receiver = make_receiver("nccl", group, 1, 2, weights)
    update = next(receiver.updates())
    return {
        "nccl_init": asdict(nccl_engine.NCCLWeightTransferInitInfo(**receiver.init_info)),
        "nccl_update": asdict(nccl_engine.NCCLWeightTransferUpdateInfo(**update)),
        "ipc": carried_handle(),
        "client": isinstance(SilentClient(), VLLMWeightSyncClient),
        "publisher": issubclass(IpcPublisher, VLLMWeightSyncClient),
        **source_rounds(weights),
    }


def carried_handle() -> dict[str, Any]:
    """A CUDA IPC update with stand-in handles, through our channel's JSON into vLLM's class."""
    tensor = (torch.Tensor, torch.Size([24]), (1,), 0, torch.storage.TypedStorage, torch.uint8)
    handle = (*tensor, 0, b"handle", 2 << 20, 0, False, b"counter", 0, b"event", True)
    sent = ipc_engine.IPCWeightTransferUpdateInfo(
        names=["a"],
        dtype_names=["float32"],
        shapes=[[2, 3]],
        tensor_sizes=[24],
        ipc_handles={"GPU-0": handle},
    )
    message = json.loads(json.dumps(encode_update(asdict(sent))))
    taken = ipc_engine.IPCWeightTransferUpdateInfo(**decode_update(message))
    names = list(signature(rebuild_cuda_tensor).parameters)
    return {"equal": taken.ipc_handles == {"GPU-0": handle}, "names": names}


def source_rounds(weights: list[WeightInfo]) -> dict[str, Any]:
    """What vLLM's trainers read of a round of weights."""
    source = RoundSource(weights)
    source.load(iter([("a", torch.zeros(2, 3)), ("b", torch.zeros(4).bfloat16())]))
    names = [name for name, _ in source]
    try:
        again = str(list(source))
    except RuntimeError as error:
        again = str(error)
    metadata = [[meta.name, str(meta.dtype), list(meta.shape)] for meta in source.metadata()]
    return {"metadata": metadata, "round": names, "again": again}
