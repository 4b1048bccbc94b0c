"""Variables and home folders in paths."""

from pathlib import Path

import pytest

from alexnet_dist.config.load import as_yaml, load, validate
from alexnet_dist.config.paths import expanded
from alexnet_dist.config.plain_yaml import parse_yaml
from alexnet_dist.errors import UsageError


@pytest.fixture(autouse=True)
def variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"HOME": "/home/me", "FOLDER": "~/x", "NESTED": "$INNER", "EMPTY": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("INNER", raising=False)


def test_variables_and_the_home_folder_are_replaced_once() -> None:
    named = {"${FOLDER}/y": "/home/me/x/y", "~/z": "/home/me/z", "$NESTED/q": "$INNER/q", "a$/$1": "a$/$1"}
    assert {given: expanded(given) for given in named} == named


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("$EMPTY/a", "the variable EMPTY is not set, or is empty"),
        ("$NESTED/${INNER}", "the variable INNER is not set, or is empty"),
        ("${INNER:-x}/a", r"only \$NAME and \${NAME} are replaced"),
        ("a/${NESTED", r"only \$NAME and \${NAME} are replaced"),
        ("~nobody-here", "there is no such home folder"),
    ],
)
def test_what_cannot_be_replaced_is_refused(given: str, why: str) -> None:
    for flags in (["--run.dir", given], ["--config", given]):
        with pytest.raises(UsageError, match=why):
            load(flags)


def test_names_on_the_disk_may_have_dollars_and_tildes(tmp_path: Path) -> None:
    for name in ("w$EMPTY", "~old"):
        (tmp_path / name).mkdir()
    for kept in ("w$EMPTY", "w$EMPTY/new/a", f"{tmp_path}/w$EMPTY/b", "~old"):
        assert expanded(kept) == kept


def test_what_a_run_has_written_is_not_read_as_a_shell_would() -> None:
    used = load(["--run.dir", "$NESTED/run"])
    again = validate(parse_yaml(as_yaml(used), "config.yaml", lambda group, field: False), stored=True)
    assert used.run.dir == again.run.dir == "$INNER/run"
