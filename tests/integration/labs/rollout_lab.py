"""A process of real vLLM that runs the cases of test_rollout_*.py and test_weight_sync_*.py.

    python tests/integration/labs/rollout_lab.py WORKDIR     # reads names of cases from its input

It writes what a case measured, or its traceback, to WORKDIR/<case>.json. A process serves many
cases: vLLM is imported once, cases share engines, and what vLLM changes in its process (threads,
memory binding) stays there.
"""

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import rollout_cases
import weight_sync_cases

CASES = {
    "generation": rollout_cases.case_generation,
    "requests": rollout_cases.case_requests,
    "stops": rollout_cases.case_stops,
    "loading": rollout_cases.case_loading,
    "refusals": rollout_cases.case_refusals,
    "tensor_parallel": rollout_cases.case_tensor_parallel,
    "layouts": weight_sync_cases.case_layouts,
    "experts": weight_sync_cases.case_experts,
    "two_engines": weight_sync_cases.case_two_engines,
    "failures": weight_sync_cases.case_failures,
    "contracts": weight_sync_cases.case_contracts,
}


def run_case(name: str, workdir: Path) -> None:
    """Writes the case's file, whole or not at all."""
    found: dict[str, Any]
    try:
        found = {"measured": CASES[name](workdir / "models")}
    except Exception:
        found = {"error": traceback.format_exc()}
    unfinished = workdir / f"{name}.tmp"
    unfinished.write_text(json.dumps(found))
    unfinished.rename(workdir / f"{name}.json")


if __name__ == "__main__":
    for line in sys.stdin:
        run_case(line.strip(), Path(sys.argv[1]))
    os._exit(0)  # vLLM takes many seconds to take its engines down
