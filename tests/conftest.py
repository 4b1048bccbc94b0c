"""What tests share: real launches, and the data set that must be there."""

import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import launched
import preloaded
import psutil
import pytest
from hypothesis import HealthCheck, settings
from run_records import exit_of, metrics_of, summary_of
from slurm_bed import Bed, missing
from xdist.scheduler import LoadScopeScheduling

from alexnet_dist.data.fetch.debian import LICENCES
from alexnet_dist.data.fetch.photographs import USUAL_PLACE
from alexnet_dist.data.sets.fashion_mnist import find_folder
from alexnet_dist.errors import UsageError
from alexnet_dist.launcher.launch_line import free_port, launch_line

# Nothing of this machine's or its user's counts: a GPU, plugins, W&B, what `accelerate config` has written.
_OWN = ("ACCELERATE_", "ALEXNET_DIST_PLUGINS", "WANDB_", "PYTHONDONTWRITEBYTECODE")  # each start would compile anew
for _name in [name for name in os.environ if name.startswith(_OWN)]:
    del os.environ[_name]
os.environ |= {"WANDB_MODE": "offline", "HF_HOME": "/proc/nowhere"}
# A process sees GPUs from its start or never: tests marked `gpu` have a run of pytest to themselves (launch/test.sh).
ON_GPU = os.environ.get("ALEXNET_DIST_GPU_TESTS") == "true"
if not ON_GPU:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
# Nets are too small for several threads, which wait for each other for ever where other programs compute, too.
os.environ["OMP_NUM_THREADS"] = "1"
# What nohup and a shell's `&` ignore would be ignored by all that tests start; a handler is not inherited.
for _number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda number, frame: None)

# A loaded machine is no defect of a property.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

ROOT = Path(__file__).parents[1]
_TEMPORARY = tempfile.gettempdir()
SMOKE = ["--config", str(ROOT / "configs/smoke.yaml")]


@dataclass(frozen=True)
class Finished:
    """A launched program that has ended."""

    code: int
    output: str
    folder: Path

    def summary(self) -> dict[str, Any]:
        return summary_of(self.folder)

    def metrics(self) -> list[dict[str, Any]]:
        return metrics_of(self.folder)

    def exit(self) -> dict[str, Any]:
        return exit_of(self.folder)

    def errors(self) -> list[str]:
        """The lines that report an error; there must be one."""
        return [line for line in self.output.splitlines() if line.startswith("error: ")]


Train = Callable[..., Finished]
_LEFT_OUT = pytest.StashKey[int]()


def train_in(folder: Path, flags: Sequence[str], ranks: int = 1, environment: Mapping[str, str] = {}) -> Finished:
    """Run `launch/train.py` on forked ranks to its end."""
    program = [str(ROOT / "launch/train.py"), *flags, "--run.dir", str(folder)]
    done = preloaded.run(program, environment, ranks)
    return Finished(done.returncode, done.stdout + done.stderr, folder)


# What a test module has in its namespace, or a test among its fixtures, where it starts processes.
_STARTERS = {
    "subprocess", "launched", "preloaded", "train_in", "launch", "start", "start_line", "start_alone", "hold",
    "measure", "measure_loaders", "Bed", "Train", "Launcher", "bad_starts",
}  # fmt: skip
_STARTING_FIXTURES = {"train", "bed", "smoke_run"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests out that need a GPU, or all others; mark what starts processes (`launch/test.sh --fast`).

    The short ones come last: so several workers end together.
    """
    left_out = [item for item in items if (item.get_closest_marker("gpu") is not None) != ON_GPU]
    config.stash[_LEFT_OUT] = len(left_out)
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    for item in items:
        assert isinstance(item, pytest.Function)
        names = set(vars(item.module)) & _STARTERS | set(item.fixturenames) & _STARTING_FIXTURES
        if names:
            item.add_marker("processes")
    items.sort(key=lambda item: item.get_closest_marker("processes") is None)


class _ByFile(LoadScopeScheduling):
    """A worker runs whole files, whose tests share fixtures; one worker runs all tests on the Slurm cluster."""

    def _split_scope(self, nodeid: str) -> str:
        return "tests/slurm" if nodeid.startswith("tests/slurm/") else nodeid.split("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByFile:
    return _ByFile(config, log)


def pytest_report_collectionfinish(config: pytest.Config) -> str:
    which = "without the marker gpu" if ON_GPU else "marked gpu"
    left_out = config.stash.get(_LEFT_OUT, 0)
    return f"{left_out} tests {which} are left out" if left_out else ""


@pytest.fixture
def train(tmp_path: Path) -> Train:
    """Run `launch/train.py` to its end."""

    def start(
        ranks: int,
        flags: Sequence[str],
        launcher: Sequence[str] | None = None,
        environment: Mapping[str, str] = {},
        name: str = "run",
    ) -> Finished:
        """`launcher`: a module that starts ranks, and its flags; without one ranks are forked."""
        folder = tmp_path / name
        if launcher is None:
            return train_in(folder, flags, ranks, environment)
        done = preloaded.run([*launcher, str(ROOT / "launch/train.py"), *flags, "--run.dir", str(folder)], environment)
        return Finished(done.returncode, done.stdout + done.stderr, folder)

    return start


@pytest.fixture
def one_process() -> Iterator[None]:
    """Accelerate keeps global state, and other tests run in the same process."""
    from accelerate.state import AcceleratorState, GradientState

    def forget() -> None:
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()

    forget()
    yield
    forget()


@pytest.fixture(scope="session", autouse=True)
def _temporary_files_lie_with_pytests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """torch's agent leaves a folder for each launch, W&B two for each process that is killed; pytest cleans up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("temporary")))
        patch.setattr(tempfile, "tempdir", None)  # what gettempdir() has found before
        yield


@pytest.fixture(autouse=True)
def _environment_is_restored() -> Iterator[None]:
    """Accelerate and DeepSpeed write to the environment of the process that they run in."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def _nothing_is_left(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test writes to its own folder only, and the processes that it starts end with it."""
    monkeypatch.chdir(tmp_path)
    if request.node.get_closest_marker("processes") is None:
        yield
        return
    preloaded.start_server()  # it stays
    before = _children()
    yield
    launched.end_all()
    _, left = psutil.wait_procs(_children() - before, timeout=30)
    told = [" ".join(process.cmdline()) for process in left]
    for process in left:
        process.kill()
    assert not left, f"left running: {told}"


def _children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def unavailable(reason: str) -> NoReturn:
    """What a test needs is not on this machine: a failure in CI, a skip on a user's machine."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def fashion_mnist() -> Path:
    """The folder of the real images."""
    try:
        return find_folder(None)
    except UsageError as refusal:
        unavailable(str(refusal))


@pytest.fixture(scope="session")
def photographs() -> Path:
    """The folder of the 255 photographs."""
    folder = Path(USUAL_PLACE).expanduser()
    if not (folder / LICENCES).is_file():
        unavailable(f"no photographs in {folder}: alexnet-dist data fetch photographs")
    return folder


@pytest.fixture(scope="session")
def bed() -> Iterator[Bed]:
    """A real Slurm cluster of two nodes."""
    if reason := missing():
        unavailable(reason)
    # pytest's own folders, and those in them, are too private for munge's socket.
    with TemporaryDirectory(prefix="slurm-bed-", dir=_TEMPORARY) as folder:
        cluster = Bed(Path(folder))
        yield cluster
        cluster.stop()


ACCELERATE = ["-m", "accelerate.commands.launch"]


def accelerate_launch(ranks: int) -> list[str]:
    """Plain `accelerate launch`, without our launcher: the words in front of a script."""
    return [*ACCELERATE, *launch_line(ranks, [], free_port())[3:]]
