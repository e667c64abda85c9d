"""Cases of rollout_lab.py: what one engine generates, and what it refuses."""

import json
import threading
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import torch
from rollout_parts import (
    END,
    SETTINGS,
    SPEC,
    STOPS,
    Model,
    connect,
    error_of,
    gathered,
    generate,
    load,
    logprob_gap,
    logprob_gaps,
    make_model,
    make_requests,
    shared_engine,
    tokens,
)

from openrlhf_core.engines.protocols import GenerationRequest, RequestId
from openrlhf_core.engines.vllm.loading import refusal
from openrlhf_core.engines.vllm.rollout import VllmRolloutEngine
from openrlhf_core.engines.vllm.settings import EngineSettings
from openrlhf_core.spec.kinds.rollout import RolloutSpec, SamplingSpec


def case_generation(models: Path) -> dict[str, Any]:
    """Lengths, ends, order, sampling and refusals of one engine."""
    shared = shared_engine(models, "qwen2", tied=False)
    engine = shared.with_sampling(SamplingSpec(temperature=0.7))
    requests = make_requests(32, 12, 64)
    completions = generate(engine, requests)
    mixed = [replace(request, max_tokens=1 + n) for n, request in enumerate(requests)]
    unknown_token = GenerationRequest(RequestId(0, 0), np.array([128], np.int32), 0, max_tokens=1)
    short = make_requests(4, 12, 8)
    at_least_20 = shared.with_sampling(SamplingSpec(min_tokens=20))
    return {
        "gap": logprob_gap(shared.model, requests, completions, temperature=0.7),
        "types": [
            str(array.dtype)
            for array in (
                completions[0].token_ids,
                completions[0].logprobs,
                completions[0].versions,
            )
        ],
        "reasons": [completion.finish_reason for completion in completions],
        "tokens": tokens(completions),
        "short": tokens(generate(engine, mixed)),
        "none": len(engine.poll(1.0)),
        "unknown_token": error_of(lambda: engine.submit([unknown_token])),
        "too_long": error_of(lambda: engine.submit([replace(requests[0], max_tokens=245)])),
        "slept": sleep_and_wake(engine, requests[:2]),
        "greedy": tokens(generate(shared.with_sampling(SamplingSpec(top_k=1)), short)),
        "greedy_reference": greedy_reference(shared.model, short),
        "at_least_20": [len(ids) for ids in tokens(generate(at_least_20, requests))],
        "at_most_5": len(generate(at_least_20, [replace(requests[0], max_tokens=5)])[0].token_ids),
    }


def sleep_and_wake(engine: VllmRolloutEngine, requests: list[GenerationRequest]) -> bool:
    before = tokens(generate(engine, requests))
    engine.sleep()
    engine.wake()
    return tokens(generate(engine, requests)) == before


def greedy_reference(model: Model, requests: list[GenerationRequest]) -> list[list[int]]:
    rows = []
    for request in requests:
        ids = request.prompt_ids.tolist()
        while len(ids) < len(request.prompt_ids) + request.max_tokens and ids[-1] != END:
            with torch.no_grad():
                ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        rows.append(ids[len(request.prompt_ids) :])
    return rows


def case_requests(models: Path) -> dict[str, Any]:
    """Requests that are polled in parts, aborted, paused, and overtaken by new weights."""
    shared = shared_engine(models, "qwen2", tied=False)
    engine = shared.with_sampling(SamplingSpec(min_tokens=64))
    requests = make_requests(6, 12, 64)
    whole = generate(engine, requests)
    engine.submit(requests)
    parts = [engine.poll(0.0) for _ in range(3)]
    engine.abort([requests[1].request_id, requests[4].request_id])
    rest = engine.poll(60.0)
    engine.submit(requests)
    engine.abort([request.request_id for request in requests])
    return {
        "first_polls": [len(part) for part in parts],
        "after_abort": {each.request_id.prompt_id: each.token_ids.tolist() for each in rest},
        "whole": tokens(whole),
        "aborted_before_a_token": len(engine.poll(60.0)),
        "aborted_unknown": error_of(lambda: engine.abort([RequestId(99, 0)])),
        "asleep": slept_away(engine, requests),
        "paused": paused(engine, requests, tokens(whole)),
        "overtaken": overtaken(models),
    }


def slept_away(engine: VllmRolloutEngine, requests: list[GenerationRequest]) -> int:
    """How many completions come of requests that were under way when the engine slept."""
    engine.submit(requests)
    engine.poll(0.0)
    engine.sleep()
    engine.wake()
    return len(engine.poll(60.0))


def paused(
    engine: VllmRolloutEngine, requests: list[GenerationRequest], whole: list[list[int]]
) -> dict[str, Any]:
    """A pause from another thread in the midst of a poll, and what comes after it."""
    long = [replace(request, max_tokens=240) for request in requests]
    long_engine_tokens = tokens(generate(engine, long))
    engine.submit(long)
    times: dict[str, float] = {}

    def interrupt() -> None:
        sleep(0.05)
        times["asked"] = monotonic()
        engine.pause()

    thread = threading.Thread(target=interrupt)
    thread.start()
    before = engine.poll(60.0)
    times["ended"] = monotonic()
    thread.join()
    while_paused = engine.poll(60.0)
    engine.resume()
    after = {each.request_id: each for each in [*before, *engine.poll(60.0)]}
    return {
        "seconds": times["ended"] - times["asked"],
        "before": len(before),
        "while_paused": len(while_paused),
        "same_tokens": tokens([after[r.request_id] for r in long]) == long_engine_tokens,
        "longer": all(a[:64] == b for a, b in zip(long_engine_tokens, whole, strict=True)),
    }


def overtaken(models: Path) -> dict[str, Any]:
    """Requests whose later tokens are drawn from other weights than their earlier ones."""
    shared = shared_engine(models, "qwen2", tied=False)
    old, new = shared.model, make_model("qwen2", False, seed=5)
    first = shared.sync(old)
    engine = shared.engine
    requests = [replace(request, max_tokens=40) for request in make_requests(4, 12, 40)]
    engine.submit(requests)
    for _ in range(12):
        engine.poll(0.0)
    second = shared.sync(new)
    found = {each.request_id: each for each in engine.poll(60.0)}
    rows = []
    for request in requests:
        completion = found[request.request_id]
        by_old = logprob_gaps(old, request, completion)
        by_new = logprob_gaps(new, request, completion)
        is_new = completion.versions == second
        rows.append(
            {
                "versions": sorted({int(each) for each in completion.versions}),
                "is_ordered": bool((np.diff(completion.versions) >= 0).all()),
                "old_gap": float(by_old[~is_new].max(initial=0.0)),
                "new_gap": float(by_new[is_new].max(initial=0.0)),
                "stale_gap": float(by_old[is_new].max(initial=0.0)),
            }
        )
    return {"first": first, "second": second, "rows": rows}


def case_stops(models: Path) -> dict[str, Any]:
    """Completions that end at texts, of a plain token and of a special one."""
    shared = shared_engine(models, "llama", tied=True)
    engine = shared.with_sampling(SamplingSpec(stop=STOPS))
    completions = generate(engine, make_requests(128, 12, 64))
    return {"stopped": [[c.finish_reason, c.token_ids.tolist()] for c in completions]}


def case_refusals(models: Path) -> dict[str, Any]:
    """What an engine says to models that it cannot run."""
    make_model("llama", True, seed=0, num_attention_heads=8).save_pretrained(models / "heads16")
    model = make_model("llama", True, seed=0)
    model.save_pretrained(models / "plain")
    unknown = models / "unknown"
    model.save_pretrained(unknown)
    config = json.loads((unknown / "config.json").read_text())
    (unknown / "config.json").write_text(json.dumps(config | {"architectures": ["NoSuchModel"]}))
    stop = SPEC.model_copy(update={"sampling": SamplingSpec(stop=("w9 ",))})
    wide = {"head_dim": 128, "num_key_value_heads": 4, "num_hidden_layers": 4}
    make_model("llama", True, seed=0, **wide).save_pretrained(models / "wide")
    small = SPEC.model_copy(update={"kv_cache_bytes": 1 << 20})

    def make(name: str, spec: RolloutSpec, settings: EngineSettings = SETTINGS) -> str:
        return error_of(lambda: load(models / name, replace(settings, spec=spec)))

    return {
        "head_size": make("heads16", SPEC),
        "architecture": make("unknown", SPEC),
        "stop_without_tokenizer": make("plain", stop),
        "too_long": make("plain", SPEC, replace(SETTINGS, max_sequence_length=257)),
        "small_cache": make("wide", small),
    }


def case_loading(models: Path) -> dict[str, Any]:
    """An engine longer than config.json says, and what vLLM's errors of memory become."""
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
    lengths = {"max_position_embeddings": 32, "rope_parameters": {"rope_theta": 1e4, **yarn}}
    model = make_model("qwen2", True, seed=0, **lengths)
    model.save_pretrained(models / "yarn")
    engine = load(models / "yarn", replace(SETTINGS, max_sequence_length=128))
    requests = make_requests(4, 60, 60)
    free = (
        "Free memory on device cuda:0 (30.1/79.1 GiB) on startup is less than desired GPU memory "
        "utilization (0.5, 39.5 GiB). Decrease GPU memory utilization or free memory."
    )
    blocks = "To serve at least one request 2 GiB KV cache is needed. Try increasing it."
    own = "Available memory on node 0 (1/2 GiB) on kv cache allocation is less than 4. Decrease it."
    return {
        "yarn_gap": logprob_gap(model, requests, generate(engine, requests)),
        "no_free_memory": described(refusal(ValueError(free), models, "CUDA")),
        "no_free_host_memory": described(refusal(ValueError(own), models, "CPU")),
        "small_cache": described(refusal(ValueError(blocks), models, "CUDA")),
    }


def described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def case_tensor_parallel(models: Path) -> dict[str, Any]:
    """An engine of two workers: gap before and after a sync, and a learner that falls silent."""
    model = make_model("qwen2", True, seed=0)
    model.save_pretrained(models / "two-workers")
    spec = SPEC.model_copy(update={"tensor_parallel_size": 2})
    engine = load(models / "two-workers", replace(SETTINGS, spec=spec))
    requests = make_requests(8, 12, 16)
    gaps = [logprob_gap(model, requests, generate(engine, requests))]
    pair = connect(model, engine, workers=2, timeout_seconds=20.0)
    model = make_model("qwen2", True, seed=1)
    versions = pair.sync(gathered(model))
    gaps.append(logprob_gap(model, requests, generate(engine, requests)))
    pair.sender.close()
    lost = error_of(lambda: engine.receive_weights(2))
    return {"gaps": gaps, "versions": versions, "lost": lost}
