import hashlib
import json

import yaml
from safetensors import safe_open
from transformers import AutoTokenizer

from bench_cases import CASES, NUM_PROMPTS, PROMPT_TOKENS, VOCABULARY
from bench_inputs import END, PAD, make_tokenizer, prompts, write_inputs, write_run
from openrlhf_core.spec.kinds.job import RLHFJob

CASE = CASES["B1-0.3M"]


def test_the_same_seed_gives_the_same_weights(tmp_path):
    first, second = (write_inputs(CASE, tmp_path / name) for name in ("a", "b"))
    file = tmp_path / "a" / "model" / "model.safetensors"
    assert first == second == hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_models_have_the_sizes_they_are_called_by(tmp_path):
    for name, parameters in (("B1-0.3M", 312_448), ("B1-3.6M", 3_578_112)):
        write_inputs(CASES[name], tmp_path / name)
        with safe_open(tmp_path / name / "model" / "model.safetensors", "pt") as file:
            sizes = [file.get_tensor(key).numel() for key in file.keys()]  # noqa: SIM118
        assert sum(sizes) == parameters


def test_prompts_are_eight_texts_with_a_token_a_character(tmp_path):
    write_inputs(CASE, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    texts = [
        json.loads(line)["prompt"] for line in (tmp_path / "prompts.jsonl").read_text().splitlines()
    ]
    assert texts == prompts()
    assert len(set(texts)) == NUM_PROMPTS
    assert {len(ids) for ids in tokenizer(texts)["input_ids"]} == {PROMPT_TOKENS}


def test_a_completion_has_as_many_characters_as_tokens(tmp_path):
    write_inputs(CASE, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    ids = [3 * index % VOCABULARY for index in range(300)]
    assert len(tokenizer.decode(ids, clean_up_tokenization_spaces=False)) == 300
    assert tokenizer.decode([0, 1]) == PAD + END


def test_the_tokenizer_fills_the_vocabulary():
    assert len(make_tokenizer()) == VOCABULARY


def test_lengths_are_forced_in_the_first_design_alone(tmp_path):
    sampling = {}
    for name in ("B1-0.3M", "B2-0.3M"):
        write_run(CASES[name], tmp_path / "inputs", tmp_path / name, steps=3)
        job = load_job(tmp_path / name / "job.yaml")
        assert job.spec.training.max_steps == 3
        assert job.spec.training.rollout is not None
        sampling[name] = job.spec.training.rollout.sampling
    assert (sampling["B1-0.3M"].min_tokens, sampling["B1-0.3M"].max_tokens) == (64, 64)
    assert (sampling["B2-0.3M"].min_tokens, sampling["B2-0.3M"].max_tokens) == (0, 512)


def test_the_reward_is_the_share_of_digits_and_notes_lengths(tmp_path):
    write_run(CASE, tmp_path / "inputs", tmp_path / "run", steps=1)
    code = (tmp_path / "run" / "reward.py").read_text()
    scope = {"__file__": str(tmp_path / "run" / "reward.py")}
    exec(compile(code, "reward.py", "exec"), scope)
    scores = scope["reward_func"](["ab12x3", "abzz"], ["ab", "ab"], ["", ""])  # type: ignore[operator]
    assert scores == [3 / 64, 0.0]
    assert json.loads((tmp_path / "run" / "lengths.jsonl").read_text()) == [4, 2]


def load_job(path) -> RLHFJob:
    return RLHFJob.model_validate_json(json.dumps(yaml.safe_load(path.read_text())))
