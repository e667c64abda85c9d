"""Runs one case of real vLLM in a process of its own and writes what it measured as JSON.

    python tests/integration/rollout_lab.py CASE WORKDIR

The tests of test_rollout_*.py and test_weight_sync_*.py start it, once a file: vLLM is imported
once, and what it changes in its process (threads, memory binding) stays there.
"""

import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from inspect import signature
from pathlib import Path
from time import monotonic
from typing import Any

from openrlhf_core.engines.vllm.environment import engine_environment

os.environ.update(engine_environment("CPU", threads=1))

import numpy as np
import torch
import transformers
from torch.multiprocessing.reductions import rebuild_cuda_tensor
from vllm.distributed.weight_transfer import VLLMWeightSyncClient, ipc_engine, nccl_engine

from openrlhf_core.engines.protocols import (
    Completion,
    GenerationRequest,
    SyncGroup,
    WeightInfo,
)
from openrlhf_core.engines.vllm.rollout import EngineSettings, VllmRolloutEngine
from openrlhf_core.engines.weight_sync.ipc_channel import (
    IpcPublisher,
    decode_update,
    encode_update,
)
from openrlhf_core.engines.weight_sync.receiver import make_receiver
from openrlhf_core.engines.weight_sync.sender import WeightSender, make_sender
from openrlhf_core.engines.weight_sync.vllm_sender import RoundSource, SilentClient
from openrlhf_core.spec.exit_codes import RunError
from openrlhf_core.spec.kinds.rollout import RolloutSpec, SamplingSpec

SPEC = RolloutSpec(kv_cache_bytes=1 << 27)
SETTINGS = EngineSettings(256, "Float32", seed=1, device_kind="CPU", sync_backend="gloo")
END = 1
ENGINES: list[VllmRolloutEngine] = []
LAYOUTS = {
    "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM),
    "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
}


def make_model(layout: str, tied: bool, seed: int, **config: Any) -> transformers.PreTrainedModel:
    """A model of 0.3M random parameters, larger than the usual start so that weights matter."""
    config_class, model_class = LAYOUTS[layout]
    sizes = {"vocab_size": 128, "hidden_size": 128, "intermediate_size": 256}
    heads = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    tokens = {"eos_token_id": END, "bos_token_id": 0, "pad_token_id": 2}
    torch.manual_seed(seed)
    model = model_class(
        config_class(
            **(sizes | heads | tokens | config),
            max_position_embeddings=256,
            tie_word_embeddings=tied,
            initializer_range=0.08,
        )
    ).float()
    if layout == "qwen2":
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


def make_engine(
    directory: Path, spec: RolloutSpec = SPEC, settings: EngineSettings = SETTINGS
) -> VllmRolloutEngine:
    """An engine that lives to the end: vLLM's last breath closes the process groups of all."""
    ENGINES.append(VllmRolloutEngine(directory, spec, settings))
    return ENGINES[-1]


def make_requests(count: int, prompt_length: int, max_tokens: int) -> list[GenerationRequest]:
    draw = np.random.default_rng(7)
    return [
        GenerationRequest(draw.integers(3, 128, prompt_length, dtype=np.int32), seed, max_tokens)
        for seed in range(count)
    ]


def weight_infos(model: transformers.PreTrainedModel) -> list[WeightInfo]:
    return [
        WeightInfo(name, str(parameter.dtype).removeprefix("torch."), tuple(parameter.shape))
        for name, parameter in model.named_parameters()
    ]


def gathered(model: transformers.PreTrainedModel) -> Iterator[tuple[str, torch.Tensor]]:
    """The weights as ZeRO 3 gives them: each whole only until the next one is asked for."""
    for name, parameter in model.named_parameters():
        whole = parameter.detach().clone()
        yield name, whole
        whole.fill_(float("nan"))


def logprob_gap(
    model: transformers.PreTrainedModel,
    requests: Sequence[GenerationRequest],
    completions: Sequence[Completion],
    temperature: float = 1.0,
) -> float:
    """Largest |engine - transformers| over all generated tokens."""
    gaps = []
    for request, completion in zip(requests, completions, strict=True):
        ids = np.concatenate([request.prompt_ids, completion.token_ids]).astype(np.int64)
        with torch.no_grad():
            logits = model(torch.from_numpy(ids)[None]).logits[0].float() / temperature
        start = len(request.prompt_ids)
        reference = logits.log_softmax(-1)[start - 1 : -1].numpy()
        chosen = reference[np.arange(len(completion.token_ids)), completion.token_ids]
        gaps.append(np.abs(chosen - completion.logprobs).max())
    return float(max(gaps))


@dataclass
class Pair:
    """A connected sender and engines, and rounds between them."""

    sender: WeightSender
    engines: list[VllmRolloutEngine]
    version: int = 0

    def sync(self, weights: Iterator[tuple[str, torch.Tensor]]) -> list[int]:
        self.version += 1
        calls = [lambda e=engine: e.receive_weights(self.version) for engine in self.engines]
        return at_once([lambda: self.sender.send(weights), *calls])[1:]


def connect(
    model: transformers.PreTrainedModel, *engines: VllmRolloutEngine, workers: int = 1, **group: Any
) -> Pair:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    size = 1 + workers * len(engines)
    where = replace(SyncGroup("127.0.0.1", port, size, 60.0, bucket_bytes=1 << 16), **group)
    infos = weight_infos(model)
    joins: list[Callable[[], Any]] = [
        partial(engine.connect, where, 1 + workers * number, infos)
        for number, engine in enumerate(engines)
    ]
    sender = at_once([lambda: make_sender("gloo", where, infos, rank=0), *joins])[0]
    return Pair(sender, list(engines))


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Results of all calls; the last one runs here, where vLLM was made, the others in threads."""
    results: list[Any] = [None] * len(calls)

    def keep(number: int) -> None:
        results[number] = calls[number]()

    threads = [threading.Thread(target=keep, args=(n,)) for n in range(len(calls) - 1)]
    for thread in threads:
        thread.start()
    keep(len(calls) - 1)
    for thread in threads:
        thread.join()
    return results


def tokens(completions: Sequence[Completion]) -> list[list[int]]:
    return [completion.token_ids.tolist() for completion in completions]


def error_of(function: Callable[[], Any]) -> str:
    """Kind and text of the error that `function` raises; empty when it raises none of ours."""
    try:
        function()
    except RunError as error:
        return f"{type(error).__name__}: {error}"
    return ""


def case_layouts(workdir: Path) -> dict[str, Any]:
    """Gap to transformers before and after two syncs, for each layout, tied and untied."""
    measured: dict[str, Any] = {}
    for layout in LAYOUTS:
        for tied in (True, False):
            name = f"{layout}-{'tied' if tied else 'untied'}"
            model = make_model(layout, tied, seed=0)
            model.save_pretrained(workdir / name)
            engine = make_engine(workdir / name)
            requests = make_requests(8, 12, 16)
            gaps = [logprob_gap(model, requests, engine.generate(requests))]
            pair = connect(model, engine)
            versions = []
            for seed in (1, 2):
                model = make_model(layout, tied, seed)
                versions += pair.sync(gathered(model))
                gaps.append(logprob_gap(model, requests, engine.generate(requests)))
            pair.sender.close()
            stale = make_model(layout, tied, seed=1)
            measured[name] = {
                "gaps": gaps,
                "versions": versions,
                "stale_gap": logprob_gap(stale, requests, engine.generate(requests)),
            }
    return measured


def case_two_engines(workdir: Path) -> dict[str, Any]:
    """What a second engine and a repeated sync draw, and a bfloat16 engine's gap."""
    model = make_model("qwen2", True, seed=0)
    model.save_pretrained(workdir / "model")
    first = make_engine(workdir / "model")
    second = make_engine(workdir / "model")
    half = make_engine(workdir / "model", SPEC, replace(SETTINGS, dtype="BFloat16"))
    requests = make_requests(8, 12, 24)
    before = [tokens(engine.generate(requests)) for engine in (first, first, second)]
    pair = connect(model, first, second, half)
    pair.sync(gathered(make_model("qwen2", True, seed=1)))
    changed = [tokens(engine.generate(requests)) for engine in (first, second)]
    versions = pair.sync(gathered(model))
    back = [tokens(engine.generate(requests)) for engine in (first, second)]
    gap = logprob_gap(model.bfloat16(), requests, half.generate(requests))
    return {
        "before": before,
        "changed": changed,
        "back": back,
        "versions": versions,
        "bfloat16_gap": gap,
    }


def case_failures(workdir: Path) -> dict[str, Any]:
    """How an engine answers a learner that falls silent, sends the wrong weights, or dies."""
    measured: dict[str, Any] = {}
    model = make_model("llama", False, seed=0)
    model.save_pretrained(workdir / "model")

    def fresh(**group: Any) -> Pair:
        return connect(model, make_engine(workdir / "model"), **group)

    started = monotonic()
    silent = fresh(timeout_seconds=3.0)
    connected = monotonic()
    measured["silent"] = error_of(lambda: silent.engines[0].receive_weights(1))
    measured["silent_seconds"] = monotonic() - connected
    measured["load_seconds"] = connected - started

    def half_the_weights() -> Iterator[tuple[str, torch.Tensor]]:
        yield from list(gathered_copies(model))[:5]

    broken = fresh(timeout_seconds=60.0)
    connected = monotonic()

    def send_half() -> None:
        try:
            broken.sender.send(half_the_weights())
        except ValueError as error:
            measured["sender"] = str(error)

    def receive() -> None:
        measured["broken"] = error_of(lambda: broken.engines[0].receive_weights(1))

    at_once([send_half, receive])
    measured["broken_seconds"] = monotonic() - connected
    infos = [info for info in weight_infos(model) if info.name != "model.norm.weight"]
    group = SyncGroup("127.0.0.1", 1, 2, 1.0, 1 << 16)
    measured["incomplete"] = error_of(lambda: broken.engines[0].connect(group, 1, infos))
    return measured


def gathered_copies(model: transformers.PreTrainedModel) -> Iterator[tuple[str, torch.Tensor]]:
    for name, parameter in model.named_parameters():
        yield name, parameter.detach().clone()


def case_generation(workdir: Path) -> dict[str, Any]:
    """Lengths, ends, stop texts, sampling and refusals of one engine."""
    model = make_model("qwen2", False, seed=0)
    model.save_pretrained(workdir / "model")
    sampling = SamplingSpec(temperature=0.7)
    engine = VllmRolloutEngine(
        workdir / "model", SPEC.model_copy(update={"sampling": sampling}), SETTINGS
    )
    requests = make_requests(32, 12, 64)
    completions = engine.generate(requests)
    mixed = [replace(request, max_tokens=1 + n) for n, request in enumerate(requests)]
    short = engine.generate(mixed)
    unknown_token = GenerationRequest(np.array([128], np.int32), seed=0, max_tokens=1)
    return {
        "gap": logprob_gap(model, requests, completions, temperature=0.7),
        "types": [str(completions[0].token_ids.dtype), str(completions[0].logprobs.dtype)],
        "reasons": [completion.finish_reason for completion in completions],
        "tokens": tokens(completions),
        "short": tokens(short),
        "none": len(engine.generate([])),
        "unknown_token": error_of(lambda: engine.generate([unknown_token])),
        "too_long": error_of(lambda: engine.generate([replace(requests[0], max_tokens=245)])),
        "slept": sleep_and_wake(engine, requests[:2]),
        "greedy": tokens(greedy(workdir, make_requests(4, 12, 8))),
        "greedy_reference": greedy_reference(model, make_requests(4, 12, 8)),
        **min_tokens(workdir, requests),
    }


def sleep_and_wake(engine: VllmRolloutEngine, requests: list[GenerationRequest]) -> bool:
    before = tokens(engine.generate(requests))
    engine.sleep()
    engine.wake()
    return tokens(engine.generate(requests)) == before


def greedy(workdir: Path, requests: list[GenerationRequest]) -> list[Completion]:
    spec = SPEC.model_copy(update={"sampling": SamplingSpec(top_k=1)})
    return make_engine(workdir / "model", spec).generate(requests)


def greedy_reference(
    model: transformers.PreTrainedModel, requests: list[GenerationRequest]
) -> list[list[int]]:
    rows = []
    for request in requests:
        ids = request.prompt_ids.tolist()
        while len(ids) < len(request.prompt_ids) + request.max_tokens and ids[-1] != END:
            with torch.no_grad():
                ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        rows.append(ids[len(request.prompt_ids) :])
    return rows


def min_tokens(workdir: Path, requests: list[GenerationRequest]) -> dict[str, Any]:
    spec = SPEC.model_copy(update={"sampling": SamplingSpec(min_tokens=20)})
    engine = make_engine(workdir / "model", spec)
    short = replace(requests[0], max_tokens=5)
    return {
        "at_least_20": [len(c.token_ids) for c in engine.generate(requests)],
        "at_most_5": len(engine.generate([short])[0].token_ids),
    }


def case_refusals(workdir: Path) -> dict[str, Any]:
    """What an engine says to models that it cannot run, and stop texts with a tokenizer."""
    make_model("llama", True, seed=0, num_attention_heads=8).save_pretrained(workdir / "heads16")
    model = make_model("llama", True, seed=0)
    model.save_pretrained(workdir / "model")
    unknown = workdir / "unknown"
    model.save_pretrained(unknown)
    config = json.loads((unknown / "config.json").read_text())
    (unknown / "config.json").write_text(json.dumps(config | {"architectures": ["NoSuchModel"]}))
    stop = SPEC.model_copy(update={"sampling": SamplingSpec(stop=("w9 ",))})
    wide = {"head_dim": 128, "num_key_value_heads": 4, "num_hidden_layers": 4}
    make_model("llama", True, seed=0, **wide).save_pretrained(workdir / "wide")
    small = SPEC.model_copy(update={"kv_cache_bytes": 1 << 20})
    tight = replace(SETTINGS, max_sequence_length=257)

    def make(name: str, spec: RolloutSpec, settings: EngineSettings = SETTINGS) -> str:
        return error_of(lambda: make_engine(workdir / name, spec, settings))

    measured: dict[str, Any] = {
        "head_size": make("heads16", SPEC),
        "architecture": make("unknown", SPEC),
        "stop_without_tokenizer": make("model", stop),
        "too_long": make("model", SPEC, tight),
        "small_cache": make("wide", small),
    }
    save_word_tokenizer(workdir / "model")
    engine = make_engine(workdir / "model", stop)
    completions = engine.generate(make_requests(64, 12, 64))
    measured["stopped"] = [[c.finish_reason, c.token_ids.tolist()] for c in completions]
    return measured


def save_word_tokenizer(directory: Path) -> None:
    """A tokenizer in which token n reads `wn `, so that texts and tokens are easily told."""
    vocabulary = {f"w{number} ": number for number in range(128)}
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "w2 "}
    empty = ("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor")
    tokenizer = {"version": "1.0", "added_tokens": [], "model": model} | dict.fromkeys(empty)
    fuse = {"type": "Fuse"}
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer | {"decoder": fuse}))
    (directory / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "w1 "})
    )


def case_tensor_parallel(workdir: Path) -> dict[str, Any]:
    """An engine of two workers: gap before and after a sync, and a learner that falls silent."""
    model = make_model("qwen2", True, seed=0)
    model.save_pretrained(workdir / "model")
    spec = SPEC.model_copy(update={"tensor_parallel_size": 2})
    engine = make_engine(workdir / "model", spec)
    requests = make_requests(8, 12, 16)
    gaps = [logprob_gap(model, requests, engine.generate(requests))]
    pair = connect(model, engine, workers=2, timeout_seconds=20.0)
    model = make_model("qwen2", True, seed=1)
    versions = pair.sync(gathered(model))
    gaps.append(logprob_gap(model, requests, engine.generate(requests)))
    pair.sender.close()
    lost = error_of(lambda: engine.receive_weights(2))
    return {"gaps": gaps, "versions": versions, "lost": lost}


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


CASES = {
    "contracts": case_contracts,
    "layouts": case_layouts,
    "two_engines": case_two_engines,
    "failures": case_failures,
    "generation": case_generation,
    "refusals": case_refusals,
    "tensor_parallel": case_tensor_parallel,
}

if __name__ == "__main__":
    results = CASES[sys.argv[1]](Path(sys.argv[2]))
    (Path(sys.argv[2]) / "results.json").write_text(json.dumps(results))
