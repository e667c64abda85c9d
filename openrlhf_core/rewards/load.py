"""Loads a user's reward function; errors name the user's own file and line."""

import importlib
import importlib.util
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

from openrlhf_core.spec.exit_codes import ConfigurationError

RewardFunction = Callable[..., Any]
Code = Path | str
"""A .py file, or the name of a module to import."""


def load_function(code: Code, entry: str) -> RewardFunction:
    """Returns the function `entry` of a .py file or of an importable module.

    ConfigurationError names the user's file and line when the import fails, or the functions that
    are there when `entry` is not.
    """
    module = import_module(code)
    name = str(code)
    function: RewardFunction | None = getattr(module, entry, None)
    if function is None:
        known = [key for key, value in vars(module).items() if inspect.isfunction(value)]
        raise ConfigurationError(
            f"{name} has no function {entry!r} (there are: {', '.join(known) or 'none'}); add it, "
            "or name another in the reward's `entry`"
        )
    if not callable(function):
        raise ConfigurationError(
            f"{name}: {entry!r} is {function!r}, not a function; make it a function"
        )
    check_parameters(function, f"{name}: {entry}")
    return function


def import_module(code: Code) -> ModuleType:
    """Runs the user's module once and returns it; ConfigurationError when that fails."""
    try:
        return importlib.import_module(code) if isinstance(code, str) else _import_file(code)
    except (Exception, SystemExit) as error:
        raise ConfigurationError(
            f"the reward code {code} cannot be imported: {describe_error(error)}; fix the code"
        ) from None


def check_parameters(function: RewardFunction, name: str) -> None:
    """ConfigurationError unless the function can be called with queries, prompts and labels."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # built in C: the first call will tell
    try:
        signature.bind_partial("queries", "prompts", "labels")
    except TypeError as error:
        raise ConfigurationError(
            f"{name}{signature} cannot be called as {name}(queries, prompts, labels): {error}; "
            "give it these three parameters"
        ) from error


def describe_error(error: BaseException) -> str:
    """`file:line: Type: message` of the innermost frame that is neither ours nor a library's.

    Example: `/home/me/reward.py:12: ZeroDivisionError: division by zero`
    """
    text = f"{type(error).__name__}: {error}".rstrip(": ").partition("\n")[0]
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: SyntaxError: {error.msg}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not _is_ours(f.filename)]
    users = [frame for frame in frames if not frame.filename.startswith(_LIBRARIES)] or frames
    return f"{users[-1].filename}:{users[-1].lineno}: {text}" if users else text


_LIBRARIES = tuple(sysconfig.get_paths()[kind] for kind in ("stdlib", "purelib", "platlib"))


def _is_ours(filename: str) -> bool:
    return filename.startswith(("<frozen", str(Path(__file__).parent))) or (
        Path(filename).parent == Path(importlib.__file__).parent
    )


def _import_file(path: Path) -> ModuleType:
    name = module_name(path)
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} does not end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def module_name(path: Path) -> str:
    """Returns the name that a file is imported under: its own, where that is free.

    A process pool of the user's sends functions by module and name, and the fresh interpreter at
    the other end imports that module. A file whose name means another module here gets a made-up
    name, which such a pool cannot import.
    """
    loaded = getattr(sys.modules.get(path.stem), "__file__", None)
    is_free = path.stem not in sys.modules and path.stem not in sys.stdlib_module_names
    if loaded == str(path) or (is_free and "." not in path.stem):
        return path.stem
    return f"rlhf_reward_{sha256(str(path).encode()).hexdigest()[:12]}_{path.stem}"
