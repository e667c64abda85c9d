"""The command `rlhf`: names, options and help texts. Each body is one call.

Commands of other packages join through the entry-point group `rlhf.commands`: each entry names a
function that takes the typer app and adds commands to it. They are loaded only when a command is
asked for that is not ours, so that ours start at once and without their libraries.
"""
# ruff: noqa: PLC0415 - commands import what they need when they are called.

import os
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Literal

import typer

from openrlhf_core.spec.exit_codes import ExitCode, RunError

GROUP = "rlhf.commands"
DEBUG_VARIABLE = "RLHF_DEBUG"

app = typer.Typer(
    name="rlhf",
    help="Reinforcement learning from human feedback: one YAML trains here or on Kubernetes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Manifest = Annotated[Path, typer.Argument(help="Manifest with an RLHFJob.", show_default=False)]


@app.command("run")
def run_command(
    file: Manifest,
    output: Annotated[
        Path | None, typer.Option(help="Where results go. Default: ./<job name>.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="Change a field: --set maxSteps=10 --set spec.training.rl.groupSize=4. Typed as "
            "in YAML; null takes a field away.",
        ),
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(help="Join this Ray cluster instead of starting a Ray on this machine."),
    ] = None,
) -> None:
    """Train a manifest without Kubernetes; run again to resume.

    Starts a Ray of its own; Ctrl-C commits a checkpoint first.

    Exit codes: 0 done, 2 wrong configuration, data or reward code,

    10 worth trying again, 20 stopped, 30 the loss was not finite.
    """
    from openrlhf_core.cli.problems import load_manifests, only_job
    from openrlhf_core.cli.run import run

    job = only_job(load_manifests(file, overrides or ()), file)
    raise typer.Exit(run(job, file, output, ray_address))


@app.command("validate")
def validate_command(
    files: Annotated[list[Path], typer.Argument(help="Manifests.", show_default=False)],
    output_format: Annotated[
        Literal["text", "json"], typer.Option("--format", help="How problems are printed.")
    ] = "text",
) -> None:
    """List every problem of manifests, with line, field and fix.

    One a line, as FILE:LINE: FIELD: what is wrong; how to fix it.

    Works offline and opens no model, data or reward file.

    Exit code 0 when all is well, else 2.
    """
    from openrlhf_core.cli.validate import validate

    raise typer.Exit(validate(files, output_format))


@app.command("plan")
def plan_command(
    file: Manifest,
    device_memory: Annotated[
        str | None,
        typer.Option(help="Memory of a device, as 80Gi. Default: that of a runtime in FILE."),
    ] = None,
    model_config: Annotated[
        Path | None,
        typer.Option(help="config.json of a model that is not on this machine."),
    ] = None,
    output_format: Annotated[
        Literal["table", "json"], typer.Option("--output", "-o", help="How it is printed.")
    ] = "table",
) -> None:
    """Show what runs where and whether it fits, before any device is taken.

    The algorithm with its preset filled in, worker groups, learners, engines,

    bytes on each device, and the smallest change when something does not fit.
    """
    from openrlhf_core.cli.plan import plan

    raise typer.Exit(plan(file, device_memory, model_config, output_format))


@app.command("init")
def init_command(
    *,
    recipe: Annotated[str, typer.Option(help="How the model is trained: RL, SFT or DPO.")] = "RL",
    algorithm: Annotated[
        str,
        typer.Option(help="GRPO, DrGRPO, RLOO, ReinforcePlusPlus or ReinforcePlusPlusBaseline."),
    ] = "GRPO",
    model: Annotated[str, typer.Option(help="Source of the model.")] = "builtin://tiny",
    data: Annotated[
        str | None,
        typer.Option(help="Source of the data. Default: a small dataset that ships with rlhf."),
    ] = None,
    reward: Annotated[
        str, typer.Option(help="Source of the reward code, for RL.")
    ] = "builtin://sums",
    name: Annotated[str, typer.Option(help="Name of the job.")] = "my-run",
) -> None:
    """Print a commented manifest that validates: rlhf init > job.yaml"""
    from openrlhf_core.cli.init import Wishes, init

    raise typer.Exit(init(Wishes(recipe, algorithm, model, data, reward, name)))


@app.command("drive", hidden=True)
def drive_command(
    config: Annotated[Path, typer.Argument(help="RunConfig, JSON.", show_default=False)],
    attempt: Annotated[int, typer.Option(min=1, help="Number of the attempt.")] = 1,
) -> None:
    """Run one attempt on the Ray cluster that surrounds this process; what the operator calls."""
    from openrlhf_core.cli.drive import drive

    raise typer.Exit(drive(config, attempt))


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line and returns its exit code; never ends in a traceback.

    With RLHF_DEBUG set an unexpected error shows where it comes from.
    """
    given = sys.argv[1:] if arguments is None else arguments
    own = {command.name for command in app.registered_commands}
    if not given or given[0] not in own:
        join_other_commands()
    try:
        app(given, prog_name="rlhf")
    except SystemExit as end:
        return _exit_code(end)
    except RunError as error:
        return _complain(str(error), error.exit_code)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        text = f"rlhf: unexpected {type(error).__name__}: {error}"
        return _complain(f"{text} (set {DEBUG_VARIABLE}=1 to see where)", 1)
    return 0


def join_other_commands() -> None:
    """Adds the commands of other packages. One that cannot be loaded is reported, not fatal."""
    for entry in entry_points(group=GROUP):
        try:
            entry.load()(app)
        except ImportError as error:
            sys.stderr.write(
                f"rlhf: the commands {entry.name!r} are not available ({error}); "
                "install rlhf-operator[operator]\n"
            )


def _exit_code(end: SystemExit) -> int:
    if end.code is None:
        return 0
    return end.code if isinstance(end.code, int) else 1


def _complain(text: str, exit_code: int) -> int:
    from openrlhf_core.cli.problems import write

    write(sys.stderr, f"{text}\n")
    return exit_code
