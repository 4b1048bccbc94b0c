"""Bad starts end as they should: one line, the right exit code, nobody's file touched. The long form makes 2,000."""

from pathlib import Path

from faults.bad_starts import bad_starts, shown
from long_forms import LONG

COUNT = 2000 if LONG else 16


def test_bad_starts_end_as_they_should(tmp_path: Path) -> None:
    judged = list(bad_starts(seed=0, numbers=range(COUNT), every=3, folder=tmp_path))
    told = [line for one in judged if one.wrong for line in (shown(one), *one.wrong)]
    assert not told, "\n".join(told)
    assert sum(one.reached for one in judged) >= COUNT // 8  # some of them train
