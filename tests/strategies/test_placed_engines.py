"""What a rank holds is what the layer table says, within 5 %; no process group keeps torch's own time limit; and FSDP
that does not shard is noticed."""

import json
from pathlib import Path

import preloaded
import pytest
from long_forms import LONG_FORM

from alexnet_dist.distributed.bring_up import STARTUP_TIMEOUT

PROGRAM, UNSHARDED = (str(Path(__file__).with_name(name)) for name in ("placed_engines.py", "unsharded.py"))
# A net whose weights outweigh the activations of four images, and DeepSpeed's buckets.
NET = ["--net.name", "alexnet_owt", "--net.towers", "2", "--data.name", "synthetic", "--data.samples", "32"]


@pytest.mark.parametrize(
    "ranks, strategies, flags",
    [
        (2, "ddp,split,zero1,zero2,zero3,fsdp", []),
        pytest.param(4, "fsdp", ["--strategy.shard_ranks", "2"], marks=LONG_FORM),
    ],
)
def test_bytes_on_the_fullest_rank_and_limits_of_groups(ranks: int, strategies: str, flags: list[str]) -> None:
    program = [PROGRAM, strategies, *NET, "--train.global_batch", "4", *flags]
    done = preloaded.run(program, ranks=ranks)
    held: dict[str, dict[str, int]] = {}
    for text in done.stdout.splitlines():
        if text.startswith("PLACED "):
            name, real, expected, at_start, after = json.loads(text[7:])
            assert set(at_start) <= {STARTUP_TIMEOUT.total_seconds()}, name
            assert len(after) >= 2 and set(after) == {300.0 + len(held)}, name
            found, held[name] = real.pop("found"), real
            assert real == pytest.approx(expected, rel=0.05), name
            assert found == pytest.approx(sum(expected.values()), rel=0.05), name
    assert list(held) == strategies.split(","), done.stdout + done.stderr
    if "split" in held:
        for kind, bytes_ in held["split"].items():
            assert bytes_ == pytest.approx(held["ddp"][kind] / 2, rel=0.02)


def test_an_engine_that_does_not_shard_is_noticed(tmp_path: Path) -> None:
    flags = ["--net.name", "alexnet_small", "--data.name", "synthetic", "--data.samples", "32"]
    flags += ["--strategy.name", "fsdp", "--train.global_batch", "8"]
    request = {"flags": flags, "steps": 1, "output": str(tmp_path / "trace"), "reference": None}
    (tmp_path / "requests.json").write_text(json.dumps([request]))
    done = preloaded.run([UNSHARDED, str(tmp_path / "requests.json")], ranks=2)
    assert done.returncode != 0
    assert "fsdp does not shard: this rank holds 40,906 values, its share is 20," in done.stdout + done.stderr
