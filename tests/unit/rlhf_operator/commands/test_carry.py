"""Small files of a manifest's folder become keys of one ConfigMap."""

import base64
from pathlib import Path
from typing import Any

import pytest

from openrlhf_core.spec.exit_codes import ConfigurationError
from rlhf_operator.commands.carry import (
    MAX_BYTES,
    bare_sources,
    config_map,
    read_files,
    with_carried_sources,
)


def make_manifest(function: str, data: str = "builtin://digits") -> dict[str, Any]:
    return {
        "metadata": {"name": "first"},
        "spec": {
            "training": {
                "model": {"policy": {"source": "builtin://tiny"}},
                "reward": {"functions": [{"name": "a", "source": function}]},
                "data": {"train": [{"source": data}]},
            }
        },
    }


def carry(manifest: dict[str, Any], folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    files = read_files(bare_sources(manifest["spec"]["training"]), folder)
    carrier = config_map("first", files)
    return carrier, with_carried_sources(manifest, files, carrier["metadata"]["name"])


def test_a_manifest_without_bare_paths_has_nothing_to_carry() -> None:
    training = make_manifest("builtin://digits")["spec"]["training"]
    assert bare_sources(training) == []


def test_a_bare_path_becomes_a_key_of_the_config_map(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "reward.py").write_text("x = 1\n")
    manifest = make_manifest("code/reward.py")
    carrier, carried = carry(manifest, tmp_path)
    ((key, content),) = carrier["data"].items()
    assert (key.endswith("-reward.py"), content) == (True, "x = 1\n")
    source = carried["spec"]["training"]["reward"]["functions"][0]["source"]
    assert source == f"configmap://{carrier['metadata']['name']}/{key}"
    assert manifest["spec"]["training"]["reward"]["functions"][0]["source"] == "code/reward.py"


def test_files_of_one_name_in_two_folders_stay_apart(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.jsonl").write_text(folder)
    manifest = make_manifest("builtin://digits")
    manifest["spec"]["training"]["data"]["train"] = [
        {"name": "a", "source": "a/x.jsonl"},
        {"name": "b", "source": "b/x.jsonl"},
    ]
    carrier, _ = carry(manifest, tmp_path)
    assert sorted(carrier["data"].values()) == ["a", "b"]


def test_the_name_of_the_config_map_follows_its_content(tmp_path: Path) -> None:
    file = tmp_path / "reward.py"
    names = []
    for content in ("x = 1", "x = 1", "x = 2"):
        file.write_text(content)
        names.append(carry(make_manifest("reward.py"), tmp_path)[0]["metadata"]["name"])
    assert names[0] == names[1] != names[2]
    assert names[0].startswith("first-files-")


def test_a_file_that_is_no_text_is_carried_as_bytes(tmp_path: Path) -> None:
    (tmp_path / "data.parquet").write_bytes(b"PAR1\xff\x00")
    carrier, _ = carry(make_manifest("builtin://digits", "data.parquet"), tmp_path)
    ((_, encoded),) = carrier["binaryData"].items()
    assert base64.b64decode(encoded) == b"PAR1\xff\x00"
    assert "data" not in carrier


def test_a_missing_file_and_a_large_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"functions\[0\].source: reward.py: there is no"):
        carry(make_manifest("reward.py"), tmp_path)
    (tmp_path / "big.jsonl").write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(ConfigurationError, match=r"900001 bytes together.*pvc://claim/path"):
        carry(make_manifest("builtin://digits", "big.jsonl"), tmp_path)


def test_a_model_is_never_carried(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    manifest = make_manifest("builtin://digits")
    manifest["spec"]["training"]["model"]["policy"]["source"] = "model"
    with pytest.raises(ConfigurationError, match="a model is not carried"):
        carry(manifest, tmp_path)


def test_a_chat_template_beside_the_manifest_is_carried(tmp_path: Path) -> None:
    (tmp_path / "chat.jinja").write_text("{{ messages }}")
    manifest = make_manifest("builtin://digits")
    policy = manifest["spec"]["training"]["model"]["policy"]
    policy["chatTemplate"] = {"source": "chat.jinja"}
    carrier, carried = carry(manifest, tmp_path)
    assert list(carrier["data"].values()) == ["{{ messages }}"]
    template = carried["spec"]["training"]["model"]["policy"]["chatTemplate"]
    assert template["source"].startswith("configmap://first-files-")
