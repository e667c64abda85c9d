"""Writes what both sides read: model, tokenizer, eight prompts, reward; and our manifest."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from bench_cases import (
    GROUP_SIZE,
    NUM_PROMPTS,
    PROMPT_TOKENS,
    SAMPLES,
    VOCABULARY,
    Case,
    ModelShape,
)

SEED = 7
PAD, END = "\u2400", "\u2404"
"""Pad and end are spelled as one character too: a completion has as many characters as tokens."""
OTHERS = "".join(chr(0x20 + index) for index in range(95)) + "".join(
    chr(0xC0 + index) for index in range(VOCABULARY - 2 - 95)
)
KV_CACHE_BYTES = 1 << 29

REWARD = '''"""Share of digits in a completion; notes every completion's length."""
import json
from pathlib import Path

LENGTHS = Path(__file__).with_name("lengths.jsonl")
MAX_TOKENS = {max_tokens}


def digit_share(text):
    return sum(character in "0123456789" for character in text) / MAX_TOKENS


def note_lengths(lengths):
    with LENGTHS.open("a") as file:
        file.write(json.dumps(lengths) + "\\n")


def reward_func(queries, prompts, labels):
    texts = [query[len(prompt):] for query, prompt in zip(queries, prompts)]
    note_lengths([len(text) for text in texts])
    return [digit_share(text) for text in texts]
'''


def write_inputs(case: Case, directory: Path) -> str:
    """Writes model/ and prompts.jsonl; returns the SHA-256 of the weights."""
    directory.mkdir(parents=True, exist_ok=True)
    write_model(case.model, directory / "model")
    rows = [json.dumps({"prompt": text}, ensure_ascii=False) for text in prompts()]
    (directory / "prompts.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return hashlib.sha256((directory / "model" / "model.safetensors").read_bytes()).hexdigest()


def write_run(case: Case, inputs: Path, directory: Path, steps: int) -> None:
    """Writes what one run of one side needs beside the inputs: reward.py and job.yaml."""
    directory.mkdir(parents=True)
    reward = REWARD.format(max_tokens=case.max_tokens)
    (directory / "reward.py").write_text(reward, encoding="utf-8")
    job = manifest(case, inputs, directory, steps)
    (directory / "job.yaml").write_text(yaml.safe_dump(job, sort_keys=False), encoding="utf-8")


def prompts() -> list[str]:
    """Eight texts of letters, each one token a character."""
    draw = torch.Generator().manual_seed(SEED)
    letters = torch.randint(ord("a"), ord("z") + 1, (NUM_PROMPTS, PROMPT_TOKENS), generator=draw)
    return ["".join(map(chr, row)) for row in letters.tolist()]


def write_model(shape: ModelShape, directory: Path) -> None:
    """Random float32 weights from a seed, in Hugging Face layout, with the tokenizer."""
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_value_heads,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
        dtype="float32",
        architectures=["Qwen2ForCausalLM"],
    )
    torch.manual_seed(SEED)
    model = Qwen2ForCausalLM(config)  # type: ignore[no-untyped-call]
    directory.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(directory)
    endings = {"pad_token_id": 0, "eos_token_id": 1}
    GenerationConfig.from_dict(endings).save_pretrained(directory)
    weights = {name: w.detach().contiguous() for name, w in model.named_parameters()}
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    make_tokenizer().save_pretrained(directory)


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A token is a character and a character is a token."""
    vocabulary = {token: index for index, token in enumerate([PAD, END, *OTHERS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=PAD))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        clean_up_tokenization_spaces=False,
    )


def manifest(case: Case, inputs: Path, directory: Path, steps: int) -> dict[str, Any]:
    """Our side's job. What it does not set is what everybody gets."""
    sampling = {"temperature": 1.0, "maxTokens": case.max_tokens}
    if case.is_forced:
        sampling["minTokens"] = case.max_tokens
    return {
        "apiVersion": "openrlhf.io/v1alpha1",
        "kind": "RLHFJob",
        "metadata": {"name": "benchmark"},
        "spec": {
            "training": {
                "recipe": "RL",
                "maxSteps": steps,
                "model": {"policy": {"source": str(inputs / "model")}},
                "data": {
                    "train": [{"source": str(inputs / "prompts.jsonl")}],
                    "promptMaxLength": PROMPT_TOKENS,
                },
                "reward": {
                    "functions": [
                        {"source": str(directory / "reward.py"), "batchSize": SAMPLES},
                    ]
                },
                "rl": {
                    "algorithm": "GRPO",
                    "rolloutBatchSize": NUM_PROMPTS,
                    "groupSize": GROUP_SIZE,
                },
                "rollout": {"sampling": sampling, "kvCacheBytes": KV_CACHE_BYTES},
                "learner": {
                    "dtype": "Float32",
                    "zeroStage": 0,
                    "maxTokensPerMicroBatch": case.own_micro_batch_tokens,
                },
                "optimizer": {"learningRate": case.learning_rate, "betas": [0.9, 0.999]},
                "checkpoint": {"everySteps": 0},
                "seed": SEED,
            }
        },
    }
