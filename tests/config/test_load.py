"""Settings from files and flags: valid ones are read, all others give one clear line."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from alexnet_dist.config.fields import fields_of
from alexnet_dist.config.load import as_flags, as_yaml, describe, load, read_file, validate
from alexnet_dist.config.plain_yaml import parse_yaml
from alexnet_dist.config.resolve import resolve
from alexnet_dist.config.schema import Experiment
from alexnet_dist.errors import UsageError

FIELDS = [(group, field) for group, info in Experiment.model_fields.items() for field in fields_of(info)]
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def refusal(action: Any, *arguments: Any) -> str:
    with pytest.raises(UsageError) as caught:
        action(*arguments)
    line = str(caught.value)
    assert "\n" not in line and line.count(": ") >= 2
    return line


@given(st.sampled_from(FIELDS), JUNK)
def test_nonsense_is_one_line_and_sense_is_kept(field: tuple[str, str], value: Any) -> None:
    group, name = field
    try:
        experiment = validate({group: {name: value}})
    except UsageError as error:
        line = str(error)
        assert line.startswith(f"{group}.{name}") and "\n" not in line
        return
    kept = experiment.model_dump()[group][name]
    assert kept == value and not (isinstance(kept, float) and not math.isfinite(kept))
    assert not isinstance(kept, bool) or isinstance(value, bool)


@given(st.dictionaries(st.sampled_from(FIELDS), JUNK | st.sampled_from(["bf16", "2012", "no", "split"]), max_size=4))
def test_what_was_set_survives_as_flags(values: dict[tuple[str, str], Any]) -> None:
    given: dict[str, dict[str, Any]] = {}
    for (group, field), value in values.items():
        try:
            validate({group: {field: value}})
        except UsageError:
            continue
        given.setdefault(group, {})[field] = value
    experiment = validate(given)
    assert load(as_flags(experiment)) == experiment


@pytest.mark.parametrize(
    "text, word",
    [
        ("train: &a {epochs: 2}\noptim: *a\n", "anchors"),
        ("train: &a [*a]\n", "anchors"),
        ("train: !!python/object/apply:os.system ['touch pwned']\n", "constructor"),
        ("train: {epochs: 1}\ntrain: {epochs: 2}\n", "'train' is given twice: not plain YAML in line 2"),
        ("train: {epochs: 1, epochs: 2}\n", "twice"),
        ("[" * 5000, "nested"),
        ("train: {epochs: [}\n", "not plain YAML in line 1"),
        ("- train\n", "groups"),
        ("train: 3\n", "a group holds fields"),
        ("train:\n", "train: null (empty): a group holds fields"),
        ("optim: {lr: '0,01'}\n", "did you mean 0.01? "),
        ("1: {epochs: 2}\n", "strings"),
        ("? [a]\n: 1\n", "plain text"),
        ("train: {[a]: 1}\n", "plain text"),
        ("[a]: {b: 1}\n", "plain text"),
    ],
)
def test_dangerous_and_broken_files(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    assert word in refusal(lambda: validate(read_file(str(path))))
    assert not Path("pwned").exists()


def test_an_address() -> None:
    with pytest.raises(UsageError, match=r"^--config: s3://bucket/x.yaml: must be on a disk of this machine"):
        load(["--config", "s3://bucket/x.yaml"])


def test_a_file_that_is_not_there_is_looked_for_in_the_working_folder() -> None:
    for path, remedy in (("x.yaml", f"No such file or directory, seen from {Path.cwd()}"), ("/proc/x.yaml", "No such")):
        assert refusal(read_file, path).startswith(f"--config: {path}: {remedy}")


def test_a_huge_file(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("# " + "x" * 2_000_000)
    assert "larger" in refusal(read_file, str(path))


def test_a_later_source_wins(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("train: {epochs: 3, global_batch: 32}\noptim: {lr: 1e-2}\n")
    experiment = load(["--config", str(path), "--train.epochs=5", "--optim.milestones", "[2, 4]"])
    assert (experiment.train.epochs, experiment.train.global_batch) == (5, 32)
    assert (experiment.optim.lr, experiment.optim.milestones) == (0.01, [2, 4])


def test_of_several_files_a_later_one_wins_field_by_field(tmp_path: Path) -> None:
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    one.write_text("train: {epochs: 3, global_batch: 32}\noptim: {lr: 1e-2}\n")
    other.write_text("train: {epochs: 4, accumulate: 2}\n")
    experiment = load(["--config", str(one), "--optim.lr", "0.5", f"--config={other}"])
    assert (experiment.train.epochs, experiment.train.global_batch, experiment.train.accumulate) == (4, 32, 2)
    assert experiment.optim.lr == 0.5


@pytest.mark.parametrize("text, value", [("1e-3", 1e-3), ("3", 3), ("-2.5E4", -2.5e4), ("1.", 1.0), ("1e", "1e")])
def test_numbers_are_read_as_people_write_them(text: str, value: object) -> None:
    assert parse_yaml(text, "x") == value and type(parse_yaml(text, "x")) is type(value)


def test_a_name_is_the_word_as_it_stands() -> None:
    experiment = load(["--run.name", "2012", "--tracking.group", "no", "--run.dir", "null"])
    assert (experiment.run.name, experiment.tracking.group, experiment.run.dir) == ("2012", "no", None)


def test_a_flag_without_its_value_does_not_swallow_the_next() -> None:
    assert refusal(load, ["--optim.lr", "--run.dir", "x"]).startswith("--optim.lr: --run.dir: needs a value first")
    assert refusal(load, ["--optim.lr"]) == "--optim.lr: empty: needs a value"


def test_a_saved_experiment_reads_back(tmp_path: Path) -> None:
    experiment = resolve(load(["--net.name", "alexnet_2012", "--optim.milestones", "[25, 51]", "--run.seed", "9"]), 2)
    (tmp_path / "config.yaml").write_text(as_yaml(experiment))
    assert load(["--config", str(tmp_path / "config.yaml")]) == experiment


def test_what_differs_from_the_defaults_is_marked() -> None:
    given = load(["--optim.lr", "0.5", "--train.max_steps", "9"])
    shown = describe(resolve(given, 2), given)
    assert "  lr: 0.5  # set; default: 0.001" in shown
    assert "  max_steps: 9  # set; default: null" in shown
    assert "  name: ddp  # follows from the rest" in shown
    assert "  epochs: 1\n" in shown
    assert yaml.safe_load(shown)["net"]["classes"] == 10


@pytest.mark.parametrize(
    "text, line",
    [
        ("train: {epocs: 2}", "train.epocs: 2: no such field: did you mean train.epochs?"),
        ("optim: {epochs: 2}", "optim.epochs: 2: no such field: did you mean train.epochs?"),
        ("trian: {epochs: 2}", "trian: {'epochs': 2}: no such group; did you mean train? there are: net, data, "),
        ("strategy: {name: splt}", "strategy.name: splt: did you mean split? Input should be 'auto', "),
        ("strategy: {gradient_dtype: bf61}", "strategy.gradient_dtype: bf61: did you mean bf16? Input should be "),
        ("optim: {lr: }", "optim.lr: null (empty): Input should be a valid number"),
        ("optim: {lr: '0.1'}", "optim.lr: 0.1: Input should be a valid number, and this is text: leave the quotation"),
        ("train: {evaluate: 'no'}", "train.evaluate: no: Input should be a valid boolean, and this is text: leave"),
        (
            "run: {name: '-1'}",
            "run.name: -1: Input should be at most 128 letters, digits, '.', '_' and '-', a letter or ",
        ),
        ("net: {exchange: [fc8, fc7, fc8]}", "net.exchange: ['fc8', 'fc7', 'fc8']: fc8 is given twice"),
        ("tracking: {with: }", "tracking.with: null (empty): Input should be a valid list"),
        ("train: {zzzz: 2}", "train.zzzz: 2: no such field; there are: global_batch, accumulate, "),
    ],
)
def test_a_slip_in_a_file_is_answered_with_what_was_meant(tmp_path: Path, text: str, line: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    assert refusal(load, ["--config", str(path)]).startswith(line)


def test_a_name_in_a_file_is_the_word_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("run: {name: 2012-09-30, dir: '010'}\ntracking: {group: no, project: 2012}\ndata: {root: ~}\n")
    experiment = load(["--config", str(path)])
    assert (experiment.run.name, experiment.run.dir) == ("2012-09-30", "010")
    assert (experiment.tracking.group, experiment.tracking.project, experiment.data.root) == ("no", "2012", None)
    path.write_text(as_yaml(experiment))
    assert load(["--config", str(path)]) == experiment
