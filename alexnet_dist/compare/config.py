"""The settings of a comparison: an experiment, and one more group of fields, `compare`."""

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError

from alexnet_dist import registry
from alexnet_dist.config.flags import Flags
from alexnet_dist.config.load import load_as, read_file, read_flags
from alexnet_dist.config.schema import Experiment
from alexnet_dist.config.values import FilePath, Group, OneOf
from alexnet_dist.errors import UsageError, refusing
from alexnet_dist.telemetry.run_files import write_text

SETTINGS = "comparison.yaml"  # in the comparison's folder
MARK = "# Written by alexnet-dist compare, which goes on from it.\n"


def _check_variant(given: Any, check_strategy: ValidatorFunctionWrapHandler) -> str:
    # YAML reads "ddp:" and "ddp: bf16" as a mapping.
    strategy, colon, dtype = given.partition(":") if isinstance(given, str) else ("", ":", "")
    if colon and dtype not in ("fp32", "bf16"):
        raise PydanticCustomError("variant", "Input should be a strategy, or one with :fp32 or :bf16 behind its name")
    check_strategy(strategy)
    return str(given)


def _check_command(given: str) -> str:
    try:
        if shlex.split(given):
            return given
        problem = "it is empty"
    except ValueError as error:
        problem = str(error)
    raise PydanticCustomError(
        "command", "Input should be a command as a shell reads it ({problem})", {"problem": problem}
    )


Variant = Annotated[str, OneOf(registry.strategies), WrapValidator(_check_variant)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


class CompareConfig(Group):
    """The comparison."""

    strategies: list[Variant] = Field(
        ["single", "ddp", "split"],
        min_length=1,
        description="what to compare; NAME:bf16 and NAME:fp32 send gradients in that dtype",
    )
    ranks: list[Count] = Field([2], min_length=1, description="ranks of each; a strategy for one rank gets one")
    global_batches: list[Count] | None = Field(
        None, min_length=1, description="samples of one optimizer step; default: 128, on GPUs 256 and 1024"
    )
    scaling: Literal["strong", "weak"] = Field(
        "strong", description="strong: the same global batch for all; weak: global_batches are per rank"
    )
    rounds: int = Field(3, ge=1, le=1000, description="times that all cases run, in alternating order")
    steps: int = Field(10, ge=2, le=100_000, description="measured steps of each run, at least")
    seconds: float = Field(
        5.0, ge=0, le=86_400, description="a case whose steps take less time than this takes more of them; 0: never"
    )
    warm_up: int = Field(3, ge=2, le=100_000, description="steps before them; DDP sets up its buckets in the first two")
    control_rounds: int = Field(
        1, ge=0, le=1000, description="rounds in which each case also runs without communication, to see its cost"
    )
    noise: float = Field(0.02, ge=0, lt=1, description="a smaller difference is called a tie")
    peak: bool = Field(True, description="on CPUs, also measure the rate of matrix products, the peak for MFU")
    timeout: float = Field(3600.0, gt=0, le=1e6, description="seconds after which a run has failed")
    start_with: Annotated[str, AfterValidator(_check_command)] | None = Field(
        None,
        description="starts each run as COMMAND RANKS PROGRAM ARGS, say on several hosts; default: accelerate launch",
    )
    dir: FilePath | None = Field(None, description="the comparison's folder; default: runs/compare/CONFIG")
    overwrite: bool = Field(False, description="replace runs of other settings in the same folder")


class Comparison(Experiment):
    """An experiment that all cases share, and how they differ."""

    compare: CompareConfig = CompareConfig()

    @property
    def folder(self) -> Path:
        assert self.compare.dir is not None, "filled in by load_comparison"
        return Path(self.compare.dir)


class CompareFlags(Group):
    from_: FilePath | None = Field(None, alias="from", description="draw the report of this folder again, and stop")
    print_command: bool = Field(False, description="show the line that starts each run, and stop")


# Fields that each case, or the comparison itself, sets, whatever the experiment says.
_SET = {
    "strategy": ("name", "gradient_dtype", "communicate"),
    "train": ("global_batch", "max_steps", "epochs", "evaluate", "evaluate_samples", "profile"),
    "checkpoint": ("every_steps", "keep", "keep_every", "background"),
    "run": ("dir", "name", "overwrite", "resume"),
}
SET_BY_COMPARE = [f"{group}.{field}" for group, fields in _SET.items() for field in fields]
FLAGS = Flags(CompareFlags, Comparison, short="compare", overridden=SET_BY_COMPARE)


def load_comparison(flags: Sequence[str]) -> Comparison:
    """The comparison that flags describe: `--steps 5` is short for `--compare.steps 5`.

    Raises:
        UsageError: the first thing that is wrong.
    """
    _, words = FLAGS.split(flags)
    given = load_as(Comparison, words)
    if given.compare.global_batches is None:
        given = given.replace("compare", global_batches=_batches_of_this_machine())
    if given.compare.dir is None:
        configs, _ = read_flags(words, Comparison)
        name = "-".join(Path(config).stem for config in configs) or given.net.name
        given = given.replace("compare", dir=f"runs/compare/{name}")
    return given


def _batches_of_this_machine() -> list[int]:
    from alexnet_dist.distributed.devices import gpu_count  # imports torch, which takes seconds

    return [256, 1024] if gpu_count() else [128]


def store_settings(comparison: Comparison) -> None:
    """Write what the user set, and the plugins that it may need, into the comparison's folder."""
    text = yaml.safe_dump(comparison.model_dump(exclude_unset=True), sort_keys=False)
    plugins = f"# {_plugins()}\n" if _plugins() else ""
    write_text(comparison.folder / SETTINGS, MARK + plugins + text)


def _plugins() -> str:
    """The variable that names them, with its value; empty where it is not set."""
    named = "".join(os.environ.get(registry.PLUGINS, "").split())
    return f"{registry.PLUGINS}={named}" if named else ""


def is_comparison(folder: Path) -> bool:
    """Whether a comparison was run there. A settings file is no proof: users write such files, too.

    Raises:
        OSError: it cannot be read.
    """
    try:
        return (folder / SETTINGS).read_text(errors="replace").startswith(MARK)
    except (FileNotFoundError, NotADirectoryError):
        return False


def stored_comparison(folder: str) -> Comparison:
    """The comparison in a folder.

    Raises:
        UsageError: the folder holds none, or cannot be read.
    """
    with refusing("--from", folder):
        found = is_comparison(Path(folder))
    if not found:
        raise UsageError("--from", folder, f"holds no comparison (no {SETTINGS} of this program's)")
    path = Path(folder, SETTINGS)
    if "dir" not in read_file(str(path), Comparison).get("compare", {}):  # the last field stored
        raise UsageError("--from", folder, f"its {SETTINGS} was cut short: run the comparison's own command again")
    try:
        return load_comparison(["--config", str(path), f"--dir={folder}"])
    except UsageError as error:
        stored = re.match(rf"{MARK}# ({registry.PLUGINS}=\S+)$", path.read_text(errors="replace"), re.MULTILINE)
        if stored is None or stored[1] == _plugins():
            raise
        raise UsageError(error.field, error.given, f"{error.remedy}; it was run with {stored[1]}") from None
