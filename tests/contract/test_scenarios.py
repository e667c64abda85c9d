"""docs/scenarios.md names exactly the scenarios that `make faults` runs, under their numbers."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FAULTS = ROOT / "tests" / "cluster" / "e2e" / "faults.py"


def scenarios_of_the_program() -> dict[str, set[int]]:
    """Name and numbers of each `Scenario(...)` in the program's text."""
    found = {}
    for node in ast.walk(ast.parse(FAULTS.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Scenario":
            name, numbers = (ast.literal_eval(argument) for argument in node.args[:2])
            found[name] = {int(number) for number in numbers.split(",")}
    return found


def scenarios_of_the_document() -> dict[str, set[int]]:
    """Numbers by name, from the rows that name a scenario of `make faults`."""
    found: dict[str, set[int]] = {}
    for line in (ROOT / "docs" / "scenarios.md").read_text().splitlines():
        row = re.match(r"\| (\d+) \|", line)
        if row:
            named = line.partition("faults `")[2].partition("|")[0]
            for name in re.findall(r"[a-z-]+(?=`)", named):
                found.setdefault(name, set()).add(int(row[1]))
    return found


def test_the_document_and_the_program_name_the_same_scenarios() -> None:
    assert scenarios_of_the_document() == scenarios_of_the_program()


def test_the_document_has_every_number_once() -> None:
    text = (ROOT / "docs" / "scenarios.md").read_text()
    assert [int(number) for number in re.findall(r"^\| (\d+) \|", text, re.M)] == list(range(1, 40))


def test_simulated_scenarios_are_those_that_tests_are_numbered_by() -> None:
    numbered: set[int] = set()
    for file in (ROOT / "tests" / "cluster").glob("test_*.py"):
        for digits in re.findall(r"^(?:async )?def test((?:_\d\d)+)_", file.read_text(), re.M):
            numbered |= {int(number) for number in digits.strip("_").split("_")}
    rows = (ROOT / "docs" / "scenarios.md").read_text().splitlines()
    listed = {int(row.split("|")[1]) for row in rows if re.match(r"\| \d+ \|.*\bsimulated\b", row)}
    assert listed == numbered
