"""W&B: the user's own variables apply, and whatever W&B's server does, no run waits for it or loses anything."""

import json
from pathlib import Path

import preloaded
import pytest
from conftest import ROOT, SMOKE, Train
from telemetry.trackers.wandb_server import WandbServer
from wandb_file import contents, offline_run

QUICK = [*SMOKE, "--data.name", "synthetic", "--train.max_steps", "10", "--train.evaluate", "false"]
SOON = {"WANDB_INIT_TIMEOUT": "3", "WANDB_FINISH_TIMEOUT": "3"}


def follow(*runs: list[str], **variables: str) -> list[str]:
    """What `follow.py` prints for runs, each a folder and its flags."""
    done = preloaded.run([str(ROOT / "tests/telemetry/trackers/follow.py"), json.dumps(runs)], variables)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.splitlines()


def test_the_users_variables_hold_where_no_field_says_otherwise(tmp_path: Path) -> None:
    """The files are in their folder, and each run knows which are its own."""
    Path("here").mkdir()
    theirs = {"PROJECT": "theirs", "ENTITY": "them", "RUN_GROUP": "their-group", "NAME": "their-name", "TAGS": "a,b"}
    theirs |= {"NOTES": "on a train", "MODE": "dryrun", "DIR": "here"}
    flags = ["--tracking.project", "ours", "--tracking.group", "our-group", "--run.name", "our-name"]
    lines = follow(["theirs"], ["ours", *flags], **{f"WANDB_{name}": value for name, value in theirs.items()})
    assert lines == ["W&B: offline; upload with: wandb sync here/wandb/offline-run-*"] * 2
    ids = [Path(folder, "wandb/run_id.txt").read_text().strip() for folder in ("theirs", "ours")]
    found = [contents(next(Path("here").glob(f"wandb/offline-run-*/run-{run_id}.wandb"))) for run_id in ids]
    assert [(run["entity"], run["tags"], run["notes"]) for run in found] == [("them", ["a", "b"], "on a train")] * 2
    assert [(run["project"], run["group"], run["name"]) for run in found] == [
        ("theirs", "their-group", "their-name"),
        ("ours", "our-group", "our-name"),
    ]


def test_without_variables_a_run_has_the_projects_name_and_its_folders(tmp_path: Path) -> None:
    """Empty variables count as unset; nobody is logged in."""
    lines = follow(["run"], WANDB_MODE="", WANDB_PROJECT="", WANDB_ENTITY="", NETRC="/proc/nowhere")
    assert lines == ["W&B: offline, since nobody is logged in; upload with: wandb sync run/wandb/offline-run-*"]
    run = offline_run(Path("run"))
    assert (run["project"], run["name"], run["group"]) == ("alexnet-dist", "run", "")
    assert [row["loss"] for row in run["history"]] == [1, 1 / 2, 1 / 3] and run["summary"]["steps"] == 3
    assert run["summary"]["loss"] == 9  # the summary's own, not the last step's


@pytest.mark.parametrize(
    "mode, said", [("disabled", "W&B: disabled"), ("nonsense", "warning: W&B stopped (1 validation error for Settings")]
)
def test_other_modes(tmp_path: Path, mode: str, said: str) -> None:
    (line,) = follow(["run"], WANDB_MODE=mode)
    assert line.startswith(said) and not list(Path("run").rglob("*.wandb"))


def test_a_server_that_answers_gets_the_run(tmp_path: Path) -> None:
    with WandbServer() as server:
        assert follow(["run"], **server.environment, WANDB_ENTITY="them") == ["W&B: online"]
    upserts = [json.loads(body)["variables"] for path, body in server.sent if b"mutation UpsertBucket" in body]
    assert (upserts[0]["entity"], upserts[0]["project"]) == ("them", "alexnet-dist")
    assert any(path.endswith("file_stream") and b"0.5" in body for path, body in server.sent)


@pytest.mark.parametrize(
    "silent_from, why", [("connect", "http"), ("graphql", "Timed out initializing run: POST http")]
)
def test_a_server_that_does_not_answer_is_left_for_offline(tmp_path: Path, silent_from: str, why: str) -> None:
    """Also for later runs in the same process, which do not wait again."""
    with WandbServer(silent_from) as server:
        lines = follow(["run"], ["again"], **{**server.environment, **SOON})
    assert len(lines) == 2 and all(line.startswith(f"W&B: offline, since {why}") for line in lines)
    assert len(offline_run(Path("run"))["history"]) == len(offline_run(Path("again"))["history"]) == 3


def test_nothing_is_lost_where_nobody_listens(train: Train) -> None:
    """Nothing listens at the port; other ranks do not wait for longer than a step takes."""
    away = {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_MODE": "online"}
    run = train(2, [*QUICK, "--train.timeout", "5"], environment=away)
    assert run.code == 0, run.output
    assert run.output.count("W&B: offline, since http://127.0.0.1:9 does not answer") == 1
    assert "warning: W&B" not in run.output
    found = offline_run(run.folder)
    assert [row["_step"] for row in found["history"]] == [5, 10] and found["summary"]["steps"] == 10


def test_a_server_that_falls_silent_during_a_run_does_not_keep_it(train: Train) -> None:
    with WandbServer("file_stream") as server:
        flags = [*QUICK, "--train.max_steps", "30", "--train.timeout", "2", "--checkpoint.every_steps", "0"]
        run = train(2, flags, environment={**server.environment, **SOON})
        assert server.silent.is_set()
    assert run.code == 0 and run.exit() == {"code": 0, "reason": "finished"}, run.output
    assert "W&B: online" in run.output
    (file,) = run.folder.glob("wandb/run-*/run-*.wandb")
    told = f"not everything was uploaded within 3 s; upload with: wandb sync {file.parent}"
    assert run.output.count(f"warning: W&B stopped ({told})") == 1, run.output
    found = contents(file)
    assert len(found["history"]) == 6 and found["summary"]["steps"] == 30
