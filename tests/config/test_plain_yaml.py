"""Numbers and words mean what a person expects, in files and flags alike, or are refused."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alexnet_dist.config.load import load
from alexnet_dist.config.plain_yaml import parse_yaml
from alexnet_dist.errors import UsageError

# Text, and its value in a field of the kind; None where it is refused.
WHOLE = {
    "10": 10, "010": 10, "0123": 123, "09": 9, "+5": 5, "1_000": 1000, "0x10": 16, "0xFF": 255, "0o17": 15,
    "1:30": None, "1e3": None, "10.0": None, "1,000": None, "1__0": None, "1_": None, "_1": None, "0b11": None,
    "0x": None, "0o8": None, "-5": None, ".inf": None, "yes": None, "2012-09-30": None, "1 000": None, "١٢": None,
    "0x1_0": None, "1'000": None, "''": None,
}  # fmt: skip
NUMBER = {
    ".5": 0.5, "+.5": 0.5, "1.": 1.0, "1e-3": 1e-3, "1E2": 100.0, "5": 5.0, "0.10": 0.1, "1_0.5": 10.5, "010.5": 10.5,
    ".inf": None, "-.inf": None, ".nan": None, "inf": None, "nan": None, "1:30": None, "1,5": None, "1e": None,
    "1.2.3": None, "1d3": None, "190:20:30.15": None, ".": None, "0,5": None,
}  # fmt: skip
BOOLEAN = {
    "true": True, "True": True, "FALSE": False, "yes": True, "no": False, "on": True, "off": False,
    "y": None, "n": None, "0": None, "1": None, "wahr": None, "~": None, "null": None,
}  # fmt: skip
WORDS = ("2012", "2012-09-30", "010", "0x10", "1_000", "1e3", "no", "on", "true", "1.5")
KINDS: dict[str, dict[str, Any]] = {
    "train.max_steps": WHOLE,
    "optim.lr": NUMBER,
    "train.evaluate": BOOLEAN,
    "run.name": {word: word for word in WORDS},
}
CASES = [(field, text, value) for field, cases in KINDS.items() for text, value in cases.items()]


def read(flags: list[str], field: str) -> Any:
    """A field's value; None where it is refused."""
    group, name = field.split(".")
    try:
        return getattr(getattr(load(flags), group), name)
    except UsageError as error:
        assert str(error).count("\n") == 0 and field in str(error)
        return None


def from_file(tmp_path: Path, field: str, text: str) -> Any:
    group, name = field.split(".")
    path = tmp_path / f"{field}.yaml"
    path.write_text(f"{group}:\n  {name}: {text}\n")
    return read(["--config", str(path)], field)


@pytest.mark.parametrize("field, text, value", CASES)
def test_a_value_means_the_same_in_a_file_and_behind_a_flag(
    tmp_path: Path, field: str, text: str, value: object
) -> None:
    for found in (
        read([f"--{field}", text], field),
        read([f"--{field}={text}"], field),
        from_file(tmp_path, field, text),
    ):
        assert found == value and type(found) is type(value)


@given(st.integers(0, 10**12), st.integers(0, 4))
def test_zeros_in_front_change_nothing_and_commas_are_refused(number: int, zeros: int) -> None:
    assert read([f"--run.seed={'0' * zeros}{number}"], "run.seed") == number
    assert read([f"--run.seed={number:_}"], "run.seed") == number
    assert number < 1000 or read([f"--run.seed={number:,}"], "run.seed") is None


@given(
    st.text("0123456789+-._:,eExXoOntyfs~", min_size=1, max_size=8),
    st.sampled_from(["run.seed", "train.max_steps", "optim.lr", "optim.momentum", "train.evaluate", "run.name"]),
)
def test_files_and_flags_read_alike(tmp_path_factory: pytest.TempPathFactory, text: str, field: str) -> None:
    if text == "~" or text.startswith("--") or text.endswith(":"):
        return  # nothing, a flag, and a mapping
    found = read([f"--{field}", text], field)
    assert repr(found) == repr(from_file(tmp_path_factory.getbasetemp(), field, text))
    if isinstance(found, float) or (isinstance(found, int) and not text.lower().lstrip("+").startswith(("0x", "0o"))):
        assert isinstance(found, bool) or found == float(text)  # as Python reads decimals


@pytest.mark.parametrize("text", ["a: &b 1", "*b", "!!python/name:os.system", "a: 1\na: 2", "\x00", "{", "[" * 100])
def test_what_is_no_plain_data_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not plain YAML"):
        parse_yaml(text, "x")


@pytest.mark.parametrize(
    "text, value", [("<<: {a: 1}", {"<<": {"a": 1}}), ("a: =", {"a": "="}), ("", None), ("~", None)]
)
def test_words_of_yaml_1_1_are_words(text: str, value: object) -> None:
    assert parse_yaml(text, "x") == value
