"""The figures of the style guide, measured: short functions, small files, tests as big as code."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median, quantiles

import pytest

REPOSITORY = Path(__file__).parents[2]
CODE = ("openrlhf_core", "operator", "trainer_images")
TESTS = ("tests",)
CATCH_ALL_NAMES = {"utils.py", "util.py", "helpers.py", "helper.py", "common.py", "misc.py"}


@cache
def python_files(folders: tuple[str, ...]) -> tuple[Path, ...]:
    """Every Python file of ours below `folders`, empty ones (package markers) aside."""
    found = [path for name in folders for path in sorted((REPOSITORY / name).rglob("*.py"))]
    return tuple(path for path in found if path.stat().st_size)


def num_lines(path: Path) -> int:
    """Lines of a file, as an editor counts them."""
    return len(path.read_text().splitlines())


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """(place, lines) of each function and method, its docstring and inner functions included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            place = f"{path.relative_to(REPOSITORY)}:{node.lineno} {node.name}"
            yield place, (node.end_lineno or node.lineno) - node.lineno + 1


def function_sizes(folders: tuple[str, ...]) -> dict[str, int]:
    """Lines of every function, by its place."""
    return {place: size for path in python_files(folders) for place, size in functions(path)}


@pytest.mark.parametrize("folders", [CODE, TESTS], ids=["code", "tests"])
def test_no_function_is_longer_than_80_lines(folders: tuple[str, ...]) -> None:
    assert {place: size for place, size in function_sizes(folders).items() if size > 80} == {}


@pytest.mark.parametrize("folders", [CODE, TESTS], ids=["code", "tests"])
def test_no_file_is_longer_than_500_lines(folders: tuple[str, ...]) -> None:
    sizes = {str(path.relative_to(REPOSITORY)): num_lines(path) for path in python_files(folders)}
    assert {path: size for path, size in sizes.items() if size > 500} == {}


def test_the_median_function_is_at_most_12_lines_and_nine_in_ten_under_45() -> None:
    sizes = list(function_sizes(CODE).values())
    assert median(sizes) <= 12
    assert quantiles(sizes, n=10)[-1] < 45


def test_the_median_file_is_at_most_200_lines() -> None:
    assert median(num_lines(path) for path in python_files(CODE)) <= 200


def test_tests_are_at_least_seven_tenths_of_the_code() -> None:
    code = sum(num_lines(path) for path in python_files(CODE))
    tests = sum(num_lines(path) for path in python_files(TESTS))
    assert tests >= 0.7 * code, f"{tests} lines of tests against {code} of code"


def test_no_file_is_named_for_being_a_drawer() -> None:
    everything = python_files(CODE + TESTS)
    assert [str(path) for path in everything if path.name in CATCH_ALL_NAMES] == []


def test_every_module_opens_with_what_it_decides() -> None:
    modules = python_files(CODE)
    silent = [path for path in modules if not ast.get_docstring(ast.parse(path.read_text()))]
    assert [str(path.relative_to(REPOSITORY)) for path in silent] == []


def test_tests_are_plain_functions_without_classes_or_patched_code() -> None:
    for path in python_files(TESTS):
        text = path.read_text()
        assert not re.search(r"^class Test", text, re.MULTILINE), path
        if path != Path(__file__):
            assert "MagicMock" not in text, path
            assert "unittest.mock" not in text, path
