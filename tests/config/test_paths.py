"""Variables and home folders in paths."""

from pathlib import Path

import pytest

from alexnet_dist.config.paths import expanded, unset_variable


def test_variables_that_have_a_value_are_replaced_and_others_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"HOME": "/home/me", "FOLDER": "~/x", "NESTED": "$INNER", "EMPTY": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("INNER", raising=False)
    assert [expanded(given) for given in ("${FOLDER}/y", "~/z", "$NESTED/q")] == [
        "/home/me/x/y",
        "/home/me/z",
        "$INNER/q",
    ]
    named = [unset_variable(given) for given in ("$EMPTY/a", "a/${INNER}", "$NESTED/q", "$FOLDER")]
    assert named == ["EMPTY", "INNER", None, None]
    (tmp_path / "w$EMPTY").mkdir()
    assert (expanded("w$EMPTY"), unset_variable("w$EMPTY")) == ("w$EMPTY", None)
