"""What ranks agree on along a tree, and how many connections that takes."""

import json
import resource
from pathlib import Path

from alexnet_dist.distributed.descriptors import descriptor_limit, raise_descriptor_limit
from alexnet_dist.launcher.processes import launch

PROGRAM = Path(__file__).with_name("agreeing.py")


def test_messages_of_five_ranks(tmp_path: Path) -> None:
    """Five is no power of two: ranks 1, 2 and 4 are children of rank 0, and 3 is a child of 2."""
    launch(5, [str(PROGRAM), str(tmp_path)])
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(5)]
    assert [rank["reduced"] for rank in ranks] == ["01234", "1", "23", "3", "4"]
    assert {rank["broadcast"] for rank in ranks} == {"0's"}
    assert ranks[0]["gathered"] == [0, 10_000, 20_000, 30_000, 40_000]
    # In a mesh each would have four. Some that the group was made with may have been closed meanwhile.
    assert all(rank["connections"] <= most for rank, most in zip(ranks, [3, 1, 2, 1, 1], strict=True))
    sums = [[tag * 5 * i for i in range(50)] for tag in (1, 2)]
    assert all(rank["combined"] == ["01234", [4], *sums] for rank in ranks)
    assert [rank["gather_on_first"] for rank in ranks] == [[0, 1, 2, 3, 4], [], [], [], []]
    assert [rank["all"] for rank in ranks] == [0, 1, 2, 3, 4]
    assert {rank["none"] for rank in ranks} == {"field: 2: remedy (rank 2)"}
    assert {rank["first"] for rank in ranks} == {0} and {rank["first refuses"] for rank in ranks} == {
        "field: 0: remedy"
    }
    assert "Timed out waiting 1000ms" in ranks[0]["silent"]  # not the limit that the group was made with


def test_the_soft_limit_of_open_files_is_raised_to_the_hard_one() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        raise_descriptor_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard) and descriptor_limit() == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
