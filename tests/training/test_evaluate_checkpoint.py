"""A checkpoint is evaluated on any number of ranks, whatever batch and strategy trained it."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess

import preloaded
import pytest
from conftest import SMOKE, Train
from run_records import summary_of

from alexnet_dist.data.sets.fashion_mnist import find_folder


def evaluate(checkpoint: Path, *flags: str, ranks: int = 1) -> CompletedProcess[str]:
    return preloaded.command("evaluate", "--checkpoint", str(checkpoint), *flags, ranks=ranks)


def line_of(summary: dict[str, float]) -> str:
    return (
        f"step 20: loss {summary['loss']:.4f}, accuracy {summary['top1']:.2%} (top-5 {summary['top5']:.2%}) "
        f"on {summary['unique_samples']} unique images\n"
    )


def test_three_ranks_evaluate_a_run_whose_batch_was_64(smoke_run: Path) -> None:
    told = summary_of(smoke_run)["eval"]
    on_three = evaluate(smoke_run, "--batch", "7", ranks=3)
    assert on_three.returncode == 0 and on_three.stdout == line_of(told), on_three.stderr
    # Settings of training have no effect, and are no reason to refuse.
    alone = evaluate(smoke_run, "--train.global_batch", "63", "--train.precision", "fp64", "--tracking.wandb", "false")
    warnings = [f"warning: {field} has no effect on evaluation\n" for field in ("train.global_batch", "tracking.wandb")]
    assert alone.returncode == 0 and alone.stdout == "".join([*warnings, line_of(told)]), alone.stderr


def test_a_run_under_way_deletes_checkpoints_and_saves_others(smoke_run: Path, tmp_path: Path) -> None:
    """All ranks read the one that the first rank found; one that is gone is told in a line."""
    program, run = str(Path(__file__).with_name("deleted_checkpoint.py")), ["--checkpoint", str(smoke_run)]
    alone, on_two = (preloaded.run([program, "before", *run], ranks=ranks) for ranks in (1, 2))
    assert alone.returncode == 2 and alone.stderr.startswith("error: checkpoint: deleted: is gone by now; a run under")
    assert on_two.returncode == 0 and on_two.stdout == line_of(summary_of(smoke_run)["eval"]), on_two.stderr
    for when, ranks in (("during", 1), ("between", 2)):
        shutil.copytree(smoke_run, tmp_path / when)
        gone = preloaded.run([program, when, "--checkpoint", str(tmp_path / when)], ranks=ranks)
        assert gone.returncode == 2 and gone.stderr.count("is gone by now") == 1, gone.stderr


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--net.dropout", "0.1"], ("net.dropout", "0.1", "trained with 0.5")),
        (["--data.root", "/proc/nowhere"], ("data.root", "/proc/nowhere")),
        (["--config", "x.yaml"], ("--config", "the checkpoint has its own experiment")),
        (["--batch", "0"], ("--batch", "0")),
    ],
)
def test_what_would_be_another_net_is_refused(smoke_run: Path, flags: Sequence[str], words: Sequence[str]) -> None:
    done = evaluate(smoke_run, *flags)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and all(word in done.stderr for word in words)


def test_a_batch_of_more_samples_than_a_step_has(smoke_run: Path) -> None:
    done = evaluate(smoke_run, "--batch", "600000", ranks=2)
    assert (done.returncode, done.stderr) == (2, "error: --batch: 600000: on 2 ranks it is at most 500000\n")


def test_data_that_have_moved(train: Train, tmp_path: Path) -> None:
    there, now = tmp_path / "there", tmp_path / "now"
    there.symlink_to(find_folder(None))
    run = train(1, [*SMOKE, "--data.root", str(there), "--train.max_steps", "1", "--tracking.wandb", "false"])
    there.rename(now)
    lost, found = evaluate(run.folder), evaluate(run.folder, "--data.root", str(now))
    assert lost.returncode == 2 and lost.stderr.endswith("; if it has moved, give --data.root\n"), lost.stderr
    assert found.returncode == 0 and found.stdout.startswith("step 1: loss "), found.stderr


def test_normalised_inputs_are_the_checkpoints(train: Train) -> None:
    """A run is evaluated with its own normalisation, and cannot resume with another."""
    flags = [*SMOKE, "--data.name", "synthetic", "--data.samples", "64", "--tracking.wandb", "false"]
    flags += ["--train.max_steps", "1", "--strategy.name", "single"]
    plain = train(1, flags, name="plain")
    normalised = [*flags, "--data.normalise", "[[0.3], [0.25]]"]
    run = train(1, normalised)
    assert run.code == 0 and run.metrics()[0]["loss"] != plain.metrics()[0]["loss"]
    done = evaluate(run.folder)
    assert f"loss {run.summary()['eval']['loss']:.4f}" in done.stdout, done.stderr
    other = train(1, [*flags, "--train.max_steps", "2", "--run.resume", "auto"])
    assert other.code == 2 and "data.normalise: none: the checkpoint was trained with [[0.3], [0.25]]" in other.output


def test_a_checkpoint_of_another_optimizer_than_the_default(train: Train) -> None:
    short = ["--optim.name", "sgd", "--optim.lr", "0.01", "--train.max_steps", "2", "--train.evaluate_samples", "50"]
    run = train(1, [*SMOKE, *short, "--tracking.wandb", "false"])
    assert run.code == 0, run.output
    done = evaluate(run.folder, "--train.evaluate_samples", "50")
    assert done.returncode == 0 and done.stdout.startswith("step 2: loss "), done.stderr
