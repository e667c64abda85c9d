"""Where sources lie on this machine; the hub is a small server of this file."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from openrlhf_core.sources import ClusterMounts, Locator
from openrlhf_core.spec.exit_codes import ConfigurationError

SHA = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b'{"model_type": "qwen2"}',
    "model.safetensors": b"weights",
    "pytorch_model.bin": b"a pickle",
    "original/model.safetensors": b"a second copy",
    "modeling.py": b"raise SystemExit",
    "data/train.jsonl": b'{"prompt": "hello"}\n',
}


class Hub(BaseHTTPRequestHandler):
    """Answers for one model and one dataset, org/tiny, at revision v1."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if "org/tiny" not in path:
            self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif "/revision/" in path and not path.endswith(("/v1", SHA)):
            self.answer(404, b"", {"X-Error-Code": "RevisionNotFound"})
        elif "/revision/" in path:
            siblings = [{"rfilename": name} for name in FILES]
            about = {"id": "org/tiny", "sha": SHA, "siblings": siblings, "private": False}
            self.answer(200, json.dumps(about).encode())
        elif "/tree/" in path:
            entries = [
                {"type": "file", "path": name, "size": len(content), "oid": "0" * 40}
                for name, content in FILES.items()
            ]
            self.answer(200, json.dumps(entries).encode())
        else:
            name = path.partition(f"/resolve/{SHA}/")[2]
            self.answer(200, FILES[name], {"ETag": f'"{name}"', "X-Repo-Commit": SHA})

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def locate_in_new_process(source: str, use: str, cache: Path, **environment: str) -> str:
    """What `locate` prints there: huggingface_hub reads HF_ENDPOINT when it is imported."""
    code = (
        "import sys; from pathlib import Path; from openrlhf_core.sources import Locator\n"
        "from openrlhf_core.spec.exit_codes import RunError\n"
        "try: print(Locator(Path('.'), Path(sys.argv[3])).locate(sys.argv[1], sys.argv[2]))\n"
        "except RunError as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, source, use, str(cache)],
        env={**os.environ, "HF_HUB_DISABLE_PROGRESS_BARS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_model_of_the_hub_is_downloaded_once_and_without_pickles_or_code(tmp_path: Path):
    with hub() as endpoint:
        path = Path(
            locate_in_new_process("hf://org/tiny@v1", "model", tmp_path, HF_ENDPOINT=endpoint)
        )
    assert (path / "model.safetensors").read_bytes() == b"weights"
    assert sorted(file.name for file in path.rglob("*") if file.is_file()) == [
        "config.json",
        "model.safetensors",
    ]
    again = locate_in_new_process("hf://org/tiny@v1", "model", tmp_path, HF_HUB_OFFLINE="1")
    assert Path(again) == path


def test_a_dataset_of_the_hub_is_downloaded(tmp_path: Path):
    with hub() as endpoint:
        path = locate_in_new_process("hf://org/tiny@v1", "data", tmp_path, HF_ENDPOINT=endpoint)
    assert (Path(path) / "data" / "train.jsonl").read_bytes() == FILES["data/train.jsonl"]


@pytest.mark.parametrize(
    ("source", "words"),
    [("hf://org/other", "fix the name"), ("hf://org/tiny@v9", "no revision 'v9'")],
)
def test_what_the_hub_lacks_is_a_configuration_error(tmp_path: Path, source: str, words: str):
    with hub() as endpoint:
        answer = locate_in_new_process(source, "model", tmp_path, HF_ENDPOINT=endpoint)
    assert answer.startswith("ConfigurationError")
    assert words in answer


def test_a_hub_out_of_reach_is_worth_another_try(tmp_path: Path):
    answer = locate_in_new_process(
        "hf://org/tiny", "model", tmp_path, HF_ENDPOINT="http://127.0.0.1:9"
    )
    assert answer.startswith("RetryableError hf://org/tiny: the hub did not answer")


def test_a_bare_path_is_relative_to_the_manifest(tmp_path: Path):
    (tmp_path / "rows.jsonl").write_text("{}")
    assert Locator(tmp_path).locate("rows.jsonl", "data") == tmp_path / "rows.jsonl"
    assert Locator(Path("/")).locate(str(tmp_path), "model") == tmp_path


def test_a_file_uri_is_absolute(tmp_path: Path):
    assert Locator(Path("/none")).locate(f"file://{tmp_path}", "model") == tmp_path


@pytest.mark.parametrize("use", ["model", "data", "function"])
def test_builtin_names_lie_in_the_package(use):
    name = "tiny" if use == "model" else "digits"
    assert Locator(Path("/")).locate(f"builtin://{name}", use).exists()


def test_an_unknown_builtin_names_those_there_are():
    with pytest.raises(ConfigurationError, match="use builtin://copy, builtin://digits"):
        Locator(Path("/")).locate("builtin://tiny", "data")


def test_claims_and_config_maps_lie_where_the_operator_mounts_them(tmp_path: Path):
    mounts = ClusterMounts(tmp_path / "configmaps", tmp_path / "pvc")
    for file in ("configmaps/rewards/reward.py", "pvc/data/sums/train.jsonl"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).touch()
    locator = Locator(Path("/none"), mounts=mounts)
    assert locator.locate("pvc://data/sums", "data") == tmp_path / "pvc/data/sums"
    code = locator.locate_code("configmap://rewards/reward.py")
    assert isinstance(code, Path) and code.name == "reward.py"


def test_a_link_out_of_a_claim_is_refused(tmp_path: Path):
    (tmp_path / "pvc" / "data").mkdir(parents=True)
    (tmp_path / "pvc" / "data" / "out").symlink_to("/etc")
    locator = Locator(Path("/"), mounts=ClusterMounts(tmp_path, tmp_path / "pvc"))
    with pytest.raises(ConfigurationError, match="leaves the claim"):
        locator.locate("pvc://data/out", "data")


@pytest.mark.parametrize(
    ("source", "use", "words"),
    [
        ("missing.jsonl", "data", "missing.jsonl is not there"),
        ("pvc://claim/x", "data", "pods of a cluster only"),
        ("configmap://rewards/reward.py", "function", "pods of a cluster only"),
        ("s3://bucket/x", "data", "not supported yet"),
        ("python://a.b", "data", "not a source of a data"),
        ("ftp://x", "model", "known scheme"),
        ("x" * 1000, "model", "cannot look at"),
    ],
)
def test_a_source_that_is_not_there_says_so(tmp_path: Path, source: str, use, words: str):
    locator = Locator(tmp_path, mounts=ClusterMounts(tmp_path / "none", tmp_path / "none"))
    with pytest.raises(ConfigurationError, match=words):
        locator.locate(source, use)


def test_code_is_a_file_or_a_module(tmp_path: Path):
    (tmp_path / "reward.py").touch()
    locator = Locator(tmp_path)
    assert locator.locate_code("reward.py") == tmp_path / "reward.py"
    assert locator.locate_code("python://package.rewards") == "package.rewards"
    assert locator.locate_code("builtin://copy") == "openrlhf_core.builtin.verifiers.copy"
    with pytest.raises(ConfigurationError, match="is a directory"):
        locator.locate_code(str(tmp_path))
