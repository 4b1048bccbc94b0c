"""Folders that a bad start finds: the user's own files, a finished run, links, and small, full and read-only disks."""

import os
import random
import shutil
import stat
import subprocess
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

FOREIGN = {
    "notes.txt": "mine\n",
    "exit.json": '{"mine": 1}\n',
    "config.yaml": "net: {name: alexnet_small}\ntrain: {max_steps: 3}\n",
    "summary.json": '{"images_per_second": 5}\n',
    "metrics.jsonl": '{"step": 1}\n',
    "comparison.yaml": "compare: {steps: 2}\n",
    "report.md": "# mine\n",
    "checkpoints/best.pt": "mine",
    "wandb/settings": "mine",
    "step-000000001/checkpoint.json": "{}",
}
SMALL, ROOMY = "200k", "4m"


@dataclass
class Place:
    """The folder of one start.

    Attributes:
        root: holds all that follows.
        work: where the program is started.
        home, temporary: the user's.
        mounts: to be undone.
    """

    root: Path
    mounts: list[Path] = field(default_factory=list)

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def temporary(self) -> Path:
        return self.root / "tmp"

    def remove(self) -> None:
        for folder in reversed(self.mounts):
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
        for folder in self.root.rglob("*"):
            if folder.is_dir() and not folder.is_symlink():
                folder.chmod(0o700)
        shutil.rmtree(self.root)


def make_place(root: Path, run: Path, chance: random.Random, mounts: bool) -> Place:
    """
    Args:
        run: a finished run, which is copied.
        mounts: whether this process may mount disks.
    """
    place, work = Place(root), root / "work"
    for folder in (work, place.home, place.temporary, work / "empty", work / "parent"):
        folder.mkdir(parents=True)
    _write_own(work / "own")
    _write_own(root / "elsewhere")
    shutil.copytree(run, work / "run")
    _damage(work / "damaged", run, chance)
    (work / "file").write_text("mine\n")
    (work / "image.png").write_bytes(b"\x89PNG\r\n")
    (work / "link").symlink_to(root / "elsewhere")
    (work / "dangling").symlink_to("nowhere/at/all")
    (work / "loop").symlink_to("loop")
    (work / "empty link").symlink_to("empty")
    (work / "refused").mkdir()
    (work / "refused/exit.json").write_text('{"format": 1, "code": 2, "reason": "a slip"}\n')
    (work / "ünï ☃").mkdir()
    if mounts:
        for name, options in (("mount", f"size={ROOMY}"), ("full", f"size={SMALL}"), ("read-only", "ro")):
            _mount(place, work / name, options)
        with (work / "full/filler").open("wb", buffering=0) as file:
            file.write(b"0" * 190_000)
    return place


def _write_own(folder: Path) -> None:
    for name, text in FOREIGN.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def _mount(place: Place, folder: Path, options: str) -> None:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    place.mounts.append(folder)


def _damage(folder: Path, run: Path, chance: random.Random) -> None:
    """A run directory in which one file is not what it was."""
    shutil.copytree(run, folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    victim = chance.choice(files)
    raw = bytearray(victim.read_bytes())
    match chance.randrange(6):
        case 0 if raw:
            raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        case 1:
            raw = raw[: chance.randrange(len(raw) + 1)]
        case 2:
            raw = bytearray(chance.randbytes(chance.randrange(200)))
        case 3:
            raw = bytearray(chance.choice([b"", b"{}", b"[]", b"null", b"3", b'"x"', b'{"step": "x"}', b"- [\n"]))
        case 4:
            victim.unlink()
            return
        case 5:
            victim.unlink()
            victim.mkdir()
            return
    victim.write_bytes(raw)


Snapshot = dict[str, tuple[str, ...]]


def snapshot(root: Path) -> Snapshot:
    """What there is, by path: kind and mode, and what is in a file or where a link leads."""
    found: Snapshot = {}
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(folder, name)
            state = path.lstat()
            if stat.S_ISLNK(state.st_mode):
                found[str(path)] = ("link", os.readlink(path))
            elif stat.S_ISREG(state.st_mode):
                found[str(path)] = ("file", oct(state.st_mode), sha256(path.read_bytes()).hexdigest())
            else:
                found[str(path)] = ("other", oct(state.st_mode))
    return found


def changes(before: Snapshot, after: Snapshot) -> list[str]:
    """Paths that came, went or changed."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
