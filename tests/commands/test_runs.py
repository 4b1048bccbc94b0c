"""`alexnet-dist runs`."""

import json
from pathlib import Path
from subprocess import CompletedProcess

from in_process import command

from alexnet_dist.config.load import as_yaml, load
from alexnet_dist.config.resolve import resolve

SUMMARY = {
    "net": "alexnet_2012", "precision": "fp32", "global_batch": 128, "device_names": ["NVIDIA H100 80GB HBM3"],
    "world_size": 2, "images_per_second": 12345.6, "step_seconds": {"median": 0.0123}, "train_loss": 2.3,
    "comm_bytes_per_step": {"counted": {"all_reduce": 243_860_896}}, "peak_memory_bytes": [2**31, 2**32],
    "eval": {"top1": 0.859, "unique_samples": 10_000}, "parameters": 60_965_224,
}  # fmt: skip


def run_folder(folder: Path, *flags: str) -> Path:
    """A finished run's, as far as the table needs it."""
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(SUMMARY))
    words = ["--net.name", "alexnet_2012", "--data.name", "synthetic", "--run.dir", str(folder), *flags]
    (folder / "config.yaml").write_text(as_yaml(resolve(load(words), 2)))
    return folder


def runs(*folders: Path) -> CompletedProcess[str]:
    return command("runs", *map(str, folders))


def test_figures_and_differing_settings_fit_100_columns(tmp_path: Path) -> None:
    one = run_folder(tmp_path / "a-run-of-a-long-name", "--strategy.name", "ddp")
    other = run_folder(tmp_path / "b", "--strategy.name", "split", "--net.exchange", "[fc8]", "--run.seed", "7")
    lines = runs(one, other).stdout.splitlines()
    assert max(map(len, lines)) <= 100 and lines[0].rstrip().endswith("fp32, global batch 128, NVIDIA H100 80GB HBM3")
    cells = ["a-run-of-a-long-name", "2", "61.0 M", "12345.6", "0.012", "244 MB", "4.00", "2.3000", "85.9%", "10,000"]
    assert any(" ".join(line.split()) == " ".join(cells) for line in lines)
    start = next(number for number, line in enumerate(lines) if line.startswith("settings that differ"))
    assert [line.split() for line in lines[start + 2 :]] == [  # where a run lies is no difference
        ["net.exchange", "[conv3,", "fc6,", "fc7,", "fc8]", "a-run-of-a-long-name"],
        ["net.exchange", "[fc8]", "b"],
        ["strategy.name", "ddp", "a-run-of-a-long-name"],
        ["strategy.name", "split", "b"],
        ["run.seed", "0", "a-run-of-a-long-name"],
        ["run.seed", "7", "b"],
    ]


def test_a_run_without_a_figure_has_a_dash_and_nonsense_is_refused(tmp_path: Path) -> None:
    """A run that was resumed when finished has no throughput; JSON has no NaN for a loss."""
    folder = run_folder(tmp_path / "a")
    (folder / "summary.json").write_text(
        json.dumps(SUMMARY | {"images_per_second": None, "step_seconds": None, "train_loss": None})
    )
    assert " ".join(runs(folder).stdout.splitlines()[2].split()) == "a 2 61.0 M - - 244 MB 4.00 - 85.9% 10,000"
    for name, nonsense in (("images_per_second", "fast"), ("eval", {}), ("eval", 3), ("peak_memory_bytes", [])):
        (folder / "summary.json").write_text(json.dumps({**SUMMARY, name: nonsense}))
        done = runs(folder)
        assert done.returncode == 2 and done.stderr.startswith("error: summary.json: a: is not one of this program's (")
        assert done.stderr.count("\n") == 1
    (folder / "summary.json").write_text("{}")
    done = runs(folder)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {folder}/summary.json: no comm_bytes_per_step: it ")


def test_folders_without_a_finished_run_are_named_after_the_table_of_the_others(tmp_path: Path) -> None:
    """As `runs/*` gives them."""
    run = run_folder(tmp_path / "several" / "a")
    done = runs(tmp_path / "gone", run, run.parent)
    assert done.returncode == 2 and " ".join(done.stdout.splitlines()[2].split()).startswith("a 2 61.0 M 12345.6 ")
    missing = f"{tmp_path}/gone, {run.parent}"
    remedy = f"no finished run there (no summary.json); there are some in {run.parent}/*"
    assert done.stderr == f"error: run directory: {missing}: {remedy}\n"


def test_many_runs_still_fit(tmp_path: Path) -> None:
    folders = [run_folder(tmp_path / f"alexnet_2012-ddp-{n:02}", "--run.seed", str(n % 2)) for n in range(12)]
    done = runs(*folders)
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 100 and sum(line.startswith("alexnet_2012-ddp-") for line in lines) == 12
    odd = "".join(done.stdout.partition("run.seed 1 ")[2].split())
    assert odd == ",".join(folder.name for folder in folders[1::2])


def test_equal_settings_are_told(tmp_path: Path) -> None:
    folders = [run_folder(tmp_path / name) for name in ("a", "b")]
    assert runs(*folders).stdout.endswith("all settings are the same\n")
    (tmp_path / "more").mkdir()
    again = runs(folders[0], run_folder(tmp_path / "more" / "a", "--run.seed", "1")).stdout.splitlines()
    assert "".join(again[1:]).count(str(tmp_path / "more")[:20]) >= 2  # by path where names are the same
    assert "settings" not in runs(folders[0]).stdout


def test_a_run_without_its_settings_is_refused_in_one_line(tmp_path: Path) -> None:
    whole, half = run_folder(tmp_path / "whole"), run_folder(tmp_path / "half")
    (half / "config.yaml").unlink()
    done = runs(whole, half)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr == f"error: run directory: {half}: holds no settings (no config.yaml)\n"
    (half / "config.yaml").touch()  # cut short
    done = runs(whole, half)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"error: run directory: {half}: its config.yaml is empty")
