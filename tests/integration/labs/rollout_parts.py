"""Models, engines and syncs for the cases of rollout_lab.py; imports vLLM."""

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from openrlhf_core.engines.vllm.environment import engine_environment

os.environ.update(engine_environment("CPU", threads=1))

import numpy as np
import torch
import transformers
from vllm import LLM

from openrlhf_core.engines.protocols import (
    Completion,
    GenerationRequest,
    RequestId,
    SyncGroup,
    WeightInfo,
)
from openrlhf_core.engines.vllm.loading import load_llm
from openrlhf_core.engines.vllm.model_directory import read_rollout_model
from openrlhf_core.engines.vllm.rollout import VllmRolloutEngine, load_engine
from openrlhf_core.engines.vllm.settings import EngineSettings
from openrlhf_core.engines.weight_sync.sender import WeightSender, make_sender
from openrlhf_core.spec.exit_codes import RunError
from openrlhf_core.spec.kinds.rollout import RolloutSpec, SamplingSpec

SPEC = RolloutSpec(kv_cache_bytes=1 << 27)
SETTINGS = EngineSettings(SPEC, 256, "Float32", seed=1, device_kind="CPU", sync_backend="gloo")
END = 1
SPECIAL_STOP = 10
"""Token whose text, `<|end|>`, the word tokenizer drops unless told otherwise."""
WORD_STOP = 9
STOPS = ("w9 ", "<|end|>")
LAYOUTS: dict[str, tuple[Any, Any]] = {
    "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM),
    "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
}
Model = Any
"""A transformers model; its classes are only half typed."""
ENGINES: list[VllmRolloutEngine] = []


def make_model(layout: str, tied: bool, seed: int, **config: Any) -> Model:
    """A model of 0.3M random parameters, larger than the usual start so that weights matter."""
    config_class, model_class = LAYOUTS[layout]
    sizes = {"vocab_size": 128, "hidden_size": 128, "intermediate_size": 256}
    heads = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    tokens = {"eos_token_id": END, "bos_token_id": 0, "pad_token_id": 2}
    torch.manual_seed(seed)
    model: Model = model_class(
        config_class(
            **(sizes | heads | tokens | {"max_position_embeddings": 256} | config),
            tie_word_embeddings=tied,
            initializer_range=0.08,
        )
    ).float()
    if layout == "qwen2":
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


def save_word_tokenizer(directory: Path) -> None:
    """A tokenizer in which token n reads `wn `, and SPECIAL_STOP is a special token."""
    vocabulary = {f"w{number} ": number for number in range(128) if number != SPECIAL_STOP}
    special = {"id": SPECIAL_STOP, "content": "<|end|>", "special": True}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    vocabulary["<|end|>"] = SPECIAL_STOP
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "w2 "}
    empty = ("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor")
    tokenizer: dict[str, Any] = {"version": "1.0", "added_tokens": [special | flags]}
    tokenizer |= dict.fromkeys(empty) | {"model": model, "decoder": {"type": "Fuse"}}
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer))
    (directory / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "w1 "})
    )


def load(directory: Path, settings: EngineSettings = SETTINGS) -> VllmRolloutEngine:
    """An engine that lives to the end: the end of one vLLM closes the process groups of all."""
    ENGINES.append(load_engine(directory, settings))
    return ENGINES[-1]


def make_requests(count: int, prompt_length: int, max_tokens: int) -> list[GenerationRequest]:
    draw = np.random.default_rng(7)
    return [
        GenerationRequest(
            RequestId(seed, 0),
            draw.integers(3, 128, prompt_length, dtype=np.int32),
            seed,
            max_tokens,
        )
        for seed in range(count)
    ]


def generate(engine: VllmRolloutEngine, requests: Sequence[GenerationRequest]) -> list[Completion]:
    """Completions of all requests, in their order."""
    engine.submit(requests)
    found = {each.request_id: each for each in engine.poll(60.0)}
    return [found[request.request_id] for request in requests]


def weight_infos(model: Model) -> list[WeightInfo]:
    return [
        WeightInfo(name, str(parameter.dtype).removeprefix("torch."), tuple(parameter.shape))
        for name, parameter in model.named_parameters()
    ]


def gathered(model: Model) -> Iterator[tuple[str, torch.Tensor]]:
    """The weights as ZeRO 3 gives them: each whole only until the next one is asked for."""
    for name, parameter in model.named_parameters():
        whole = parameter.detach().clone()
        yield name, whole
        whole.fill_(float("nan"))


def logprob_gaps(
    model: Model,
    request: GenerationRequest,
    completion: Completion,
    temperature: float = 1.0,
) -> np.ndarray:
    """|engine - transformers| of each generated token."""
    ids = np.concatenate([request.prompt_ids, completion.token_ids]).astype(np.int64)
    with torch.no_grad():
        logits = model(torch.from_numpy(ids)[None]).logits[0].float() / temperature
    start = len(request.prompt_ids)
    reference = logits.log_softmax(-1)[start - 1 : -1].numpy()
    chosen = reference[np.arange(len(completion.token_ids)), completion.token_ids]
    gaps: np.ndarray = np.abs(chosen - completion.logprobs)
    return gaps


def logprob_gap(
    model: Model,
    requests: Sequence[GenerationRequest],
    completions: Sequence[Completion],
    temperature: float = 1.0,
) -> float:
    """Largest |engine - transformers| over all generated tokens."""
    pairs = zip(requests, completions, strict=True)
    return max(float(logprob_gaps(model, *pair, temperature).max()) for pair in pairs)


def tokens(completions: Sequence[Completion]) -> list[list[int]]:
    return [completion.token_ids.tolist() for completion in completions]


def error_of(function: Callable[[], Any]) -> str:
    """Kind and text of the error that `function` raises; empty when it raises none of ours."""
    try:
        function()
    except RunError as error:
        return f"{type(error).__name__}: {error}"
    return ""


@dataclass
class Pair:
    """A connected sender and engines, and rounds between them."""

    sender: WeightSender
    engines: list[VllmRolloutEngine]
    version: int = 0

    def sync(self, weights: Iterator[tuple[str, torch.Tensor]]) -> list[int]:
        """Sends one round; returns the version that each engine says it holds."""
        self.version += 1
        calls = [lambda e=engine: e.receive_weights(self.version) for engine in self.engines]
        return at_once([lambda: self.sender.send(weights), *calls])[1:]


def connect(model: Model, *engines: VllmRolloutEngine, workers: int = 1, **group: Any) -> Pair:
    return join(weight_infos(model), *engines, workers=workers, **group)


def join(
    infos: list[WeightInfo], *engines: VllmRolloutEngine, workers: int = 1, **group: Any
) -> Pair:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    size = 1 + workers * len(engines)
    where = replace(SyncGroup("127.0.0.1", port, size, 60.0, bucket_bytes=1 << 16), **group)
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


class SharedEngine:
    """A loaded vLLM, and the transformers model whose weights it holds.

    Cases share it, as loading takes seconds. A case that needs certain weights syncs them first.
    """

    def __init__(self, directory: Path, model: Model, settings: EngineSettings) -> None:
        self.model = model
        self.settings = settings
        self.directory = directory
        self._facts = read_rollout_model(directory, settings.max_sequence_length)
        self._llm: LLM = load_llm(self._facts, settings)
        self.engine = self.with_sampling(SamplingSpec())
        requests = make_requests(8, 12, 16)
        self.loaded_gap = logprob_gap(model, requests, generate(self.engine, requests))
        self._pair: Pair | None = None

    def with_sampling(self, sampling: SamplingSpec) -> VllmRolloutEngine:
        """An engine over the same vLLM that samples in another way."""
        spec = self.settings.spec.model_copy(update={"sampling": sampling})
        return VllmRolloutEngine(self._facts, self._llm, replace(self.settings, spec=spec))

    @property
    def pair(self) -> Pair:
        if self._pair is None:
            self._pair = connect(self.model, self.engine)
        return self._pair

    def sync(self, model: Model) -> int:
        """Gives the engine the weights of `model`; returns the version that it then holds."""
        self.model = model
        return self.pair.sync(gathered(model))[0]


@cache
def shared_engine(models: Path, layout: str, tied: bool) -> SharedEngine:
    """The engine of a layout, loaded with the weights of seed 0; Llama's reads stop texts."""
    directory = models / f"{layout}-{'tied' if tied else 'untied'}"
    model = make_model(layout, tied, seed=0)
    model.save_pretrained(directory)
    settings = SETTINGS
    if layout == "llama" and tied:
        save_word_tokenizer(directory)
        spec = SPEC.model_copy(update={"sampling": SamplingSpec(stop=STOPS)})
        settings = replace(SETTINGS, spec=spec)
    return SharedEngine(directory, model, settings)
