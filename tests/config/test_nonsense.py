"""Whatever a config file holds: valid ones are accepted, all others end in exit code 2 and one line.

What is valid is stated here once more, apart from the program's own statement.
"""

import contextlib
import io
import math
import os
import re
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alexnet_dist.commands import train
from alexnet_dist.config.fields import fields_of
from alexnet_dist.config.load import load
from alexnet_dist.config.schema import Experiment
from alexnet_dist.errors import UsageError

Valid = Callable[[Any], bool]


def whole(low: float, high: float = math.inf) -> Valid:
    return lambda v: type(v) is int and low <= v <= high


def number(low: float, high: float, with_low: bool = True, with_high: bool = True) -> Valid:
    def valid(v: Any) -> bool:
        if type(v) not in (int, float) or not math.isfinite(v):
            return False
        return (low <= v if with_low else low < v) and (v <= high if with_high else v < high)

    return valid


def one_of(*words: str) -> Valid:
    return lambda v: type(v) is str and v in words


def boolean(v: Any) -> bool:
    return type(v) is bool


def text(v: Any) -> bool:
    return type(v) is str and v != ""


def path(v: Any) -> bool:
    return text(v) and "\0" not in v and (v[0] != "~" or v[1:2] in ("", "/")) and not re.search(r"\$[A-Za-z_{]", v)


def name(v: Any) -> bool:
    return type(v) is str and len(v) <= 128 and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", v) is not None


def optional(valid: Valid) -> Valid:
    return lambda v: v is None or valid(v)


def several(valid: Valid) -> Valid:
    return lambda v: type(v) is list and all(valid(inner) for inner in v)


def distinct(valid: Valid) -> Valid:
    return lambda v: several(valid)(v) and len(set(v)) == len(v)


def normalise(v: Any) -> bool:
    finite = number(-math.inf, math.inf)
    if type(v) is not list:
        return v in ("none", "imagenet", "mean_image")
    parts = len(v) == 2 and all(type(part) is list and part and all(map(finite, part)) for part in v)
    return parts and len(v[0]) == len(v[1]) and min(v[1]) > 0


LAYERS = ("conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
RULES: dict[str, dict[str, Valid]] = {
    "net": {
        "name": one_of("alexnet_2012", "alexnet_owt", "alexnet_fashion", "alexnet_96", "alexnet_small"),
        "towers": optional(whole(1, 16)), "exchange": optional(distinct(one_of(*LAYERS))), "norm": optional(boolean),
        "pool_overlap": optional(boolean), "activation": optional(one_of("relu", "tanh")),
        "dropout": optional(number(0, 1, with_high=False)), "weights": optional(path),
        "classes": optional(whole(2, 10**6)), "channels": optional(whole(1, 64)),
        "follows": optional(one_of("code", "paper")),
    },
    "data": {
        "name": one_of("fashion_mnist", "image_folder", "imagenet", "synthetic"),
        "root": optional(path),
        "workers": optional(whole(0, 64)), "samples": whole(1, 10**7), "normalise": normalise,
        "prefetch": whole(1, 64), "broken": one_of("skip", "refuse"), "stage": optional(path),
        "crop": optional(whole(1, 10_000)), "augment": one_of("none", "alexnet", "inception"),
        "crop_padding": whole(0, 1000), "colour_noise": number(0, 10), "min_area": number(0, 1, with_low=False),
        "colour_jitter": number(0, 1),
    },
    "optim": {
        "name": one_of("sgd", "adam", "lars"), "lr": number(0, 1e3, with_low=False),
        "bias_lr": optional(number(0, 1e3, with_low=False)), "schedule": one_of("steps", "cosine", "polynomial"),
        "warmup_steps": whole(0, 10**7), "final_lr": number(0, 1e3), "power": number(0, 100, with_low=False),
        "milestones": several(whole(1)), "lr_divisor": number(1, 1e6, with_low=False),
        "momentum": number(0, 1, with_high=False),
        "weight_decay": number(0, 10), "trust": number(0, 10, with_low=False),
    },
    "train": {
        "global_batch": whole(1, 10**6), "accumulate": whole(1, 10**5), "epochs": whole(1, 10**6),
        "max_steps": optional(whole(1)), "precision": one_of("fp64", "fp32", "tf32", "bf16", "fp16"),
        "compile": boolean, "clip_norm": optional(number(0, 1e9, with_low=False)), "profile": optional(whole(1, 1000)),
        "timeout": whole(1, 86_400), "evaluate": boolean, "evaluate_samples": optional(whole(1)),
        "evaluate_views": lambda v: type(v) is int and v in (1, 10),
    },
    "checkpoint": {
        "every_steps": whole(0), "every_seconds": optional(whole(1, 10**6)), "keep": whole(1, 10**6),
        "keep_every": optional(whole(1)),
        "background": boolean,
    },
    "tracking": {
        "with": distinct(one_of("wandb", "tensorboard")), "wandb": boolean, "project": optional(name),
        "group": optional(name), "log_every": whole(1, 10**6), "filters_every": optional(whole(1, 10**6)),
    },
    "run": {
        "name": optional(name), "dir": optional(path), "seed": whole(0, 2**63 - 1), "overwrite": boolean,
        "resume": optional(path),
    },
}  # fmt: skip

WORDS = st.sampled_from(
    ["relu", "sgd", "adam", "fp32", "code", "synthetic", "alexnet_small", "auto", "conv2", "no", ""]
)
NUMBERS = st.one_of(
    st.integers(-3, 200), st.sampled_from([10**6, 10**9, 2**63, 10**40, -1]),
    st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([0.5, 1e-3, 0.0, 1.0]),
)  # fmt: skip
SCALARS = st.one_of(NUMBERS, st.booleans(), st.none(), WORDS, st.text(string.printable, max_size=8))
NORMALISATIONS = st.lists(st.lists(st.floats(-1, 2) | st.integers(0, 2), max_size=2), min_size=1, max_size=3)
VALUES = st.one_of(
    SCALARS, st.lists(SCALARS, max_size=3), st.lists(st.sampled_from((*LAYERS, "wandb", "tensorboard")), max_size=3),
    st.dictionaries(st.text(string.ascii_letters, max_size=4), SCALARS, max_size=2), NORMALISATIONS,
)  # fmt: skip
# Where a file takes a word as it stands: a run may be called 2012, or no.
TEXT = [
    ("net", "name"), ("net", "activation"), ("net", "follows"), ("net", "weights"), ("data", "name"), ("data", "root"),
    ("data", "stage"), ("data", "augment"),
    ("optim", "name"), ("optim", "schedule"), ("train", "precision"), ("tracking", "project"), ("tracking", "group"),
    ("run", "name"), ("run", "dir"), ("run", "resume"),
]  # fmt: skip
PATHS = [("net", "weights"), ("data", "root"), ("data", "stage"), ("run", "dir"), ("run", "resume")]
FIELDS = [(group, field) for group, rules in RULES.items() for field in rules]
UNKNOWN = st.sampled_from(
    [("net", "tower"), ("trian", "epochs"), ("train", "__class__"), ("", ""), ("run", "model_config")]
)


def valid(group: str, field: str, value: Any) -> bool:
    return group in RULES and field in RULES[group] and RULES[group][field](as_read(group, field, value))


def as_read(group: str, field: str, value: Any) -> Any:
    """A value of a file as its field sees it."""
    is_word = (group, field) in TEXT and type(value) in (bool, int, float)
    return yaml.safe_dump(value).removesuffix("...\n").strip() if is_word else value


def as_kept(group: str, field: str, value: Any) -> Any:
    read = as_read(group, field, value)
    return os.path.expanduser(read) if (group, field) in PATHS and type(read) is str else read


def test_the_rules_cover_every_field_but_the_strategys() -> None:
    assert {group: set(rules) for group, rules in RULES.items()} == {
        group: set(fields_of(info)) for group, info in Experiment.model_fields.items() if group != "strategy"
    }


@settings(max_examples=1000)
@given(st.lists(st.tuples(st.one_of(st.sampled_from(FIELDS), st.sampled_from(FIELDS), UNKNOWN), VALUES), max_size=3))
def test_generated_configs_are_judged_as_the_rules_judge_them(
    tmp_path_factory: pytest.TempPathFactory, fields: list[tuple[tuple[str, str], Any]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "generated.yaml"
    values: dict[str, dict[str, Any]] = {}
    for (group, field), value in fields:
        values.setdefault(group, {})[field] = value
    path.write_text(yaml.safe_dump(values))
    expected = all(valid(group, field, v) for group, inner in values.items() for field, v in inner.items())
    try:
        experiment = load(["--config", str(path)])
    except UsageError as refusal:
        assert not expected, f"{values} is valid, but: {refusal}"
        assert "\n" not in str(refusal) and len(str(refusal)) < 1000
    else:
        assert expected, f"{values} was accepted"
        kept = experiment.model_dump()
        for g, inner in values.items():
            assert all(kept[g][f] == as_kept(g, f, v) for f, v in inner.items())


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{after}: &{after} [{','.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)


@settings(max_examples=300)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))))
@example(b"")
@example(BOMB.encode())
@example(b"train: &t {epochs: 2, more: *t}")
@example(b"train: !!python/object/apply:os.system ['touch SENTINEL']")
@example(b"train: !!python/name:os.system")
@example(b"train: {epochs: " + b"[" * 5000)
@example(b"train: {epochs: 1, epochs: 2}")
@example(b"train: {epochs: 0x10}\n---\nnet: {}")
@example(b"\xff\xfe\x00")
@example(b"x" * 2_000_000)
@example(b"run: {seed: " + b"9" * 5000 + b"}")
def test_whatever_a_file_holds_a_person_reads_one_line(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "anything.yaml"
    path.write_bytes(raw)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = train.run(["--config", str(path), "--print_config"])
    assert code in (0, 2)
    assert err.getvalue().count("\n") == (code == 2) and "Traceback" not in err.getvalue()
    assert not Path("SENTINEL").exists()


@pytest.mark.parametrize(
    "flag", ["--train.epochs=!!python/name:os.system", "--run.seed=*a", "--net.exchange=[conv2, &a x]"]
)
def test_flags_are_as_plain_as_files(flag: str) -> None:
    with pytest.raises(UsageError):
        load([flag])
