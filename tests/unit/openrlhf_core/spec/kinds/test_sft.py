"""What a manifest of recipe SFT holds, and what it resolves to."""

from typing import Any

from openrlhf_core.spec.kinds.training import TrainingSpec
from openrlhf_core.spec.planning.resolve import resolve
from openrlhf_core.spec.reading.validate import judge
from openrlhf_core.spec.reading.yaml_reader import path_text

SFT: dict[str, Any] = {
    "recipe": "SFT",
    "maxSteps": 3,
    "model": {"policy": {"source": "builtin://tiny"}},
    "data": {"train": [{"source": "a.jsonl"}], "keys": {"response": "answer"}},
}


def fields_wrong(**changes: Any) -> list[str]:
    return [path_text(found.path) for found in judge(TrainingSpec, {**SFT, **changes})[1]]


def test_a_model_and_data_are_enough() -> None:
    training, wrong = judge(TrainingSpec, SFT)
    assert wrong == []
    assert training is not None
    assert training.sft is not None
    assert (training.sft.loss_on, training.data.max_length) == ("AssistantTurns", 2048)
    absent = (training.reward, training.rl, training.rollout, training.weight_sync)
    assert all(part is None for part in absent)


def test_it_starts_the_policy_alone() -> None:
    training = judge(TrainingSpec, SFT)[0]
    assert training is not None
    resolved = resolve(training)
    assert [(needed.role, needed.kind) for needed in resolved.roles] == [("Policy", "Trained")]
    assert resolved.plan.ranks.keys() == {"Policy"}
    assert resolved.plan.engines == ()
    assert resolved.rl is None


def test_parts_of_rl_are_refused() -> None:
    assert fields_wrong(reward={"functions": [{"source": "builtin://sums"}]}) == ["reward"]
    assert fields_wrong(rollout={}) == ["rollout"]


def test_whole_chats_need_a_chat_template() -> None:
    data = {**SFT["data"], "keys": {"messages": "chat"}}
    assert fields_wrong(data=data) == ["data.keys.messages"]
    assert fields_wrong(data={**data, "applyChatTemplate": True}) == []


def test_an_unknown_choice_of_tokens_is_refused() -> None:
    assert fields_wrong(sft={"lossOn": "Everything"}) == ["sft.lossOn"]
