"""`alexnet-dist data`: gets data sets, prepares image files for training, verifies and shows what is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from alexnet_dist.commands import Command
from alexnet_dist.config.flags import Flags
from alexnet_dist.config.output import check_output, new_file
from alexnet_dist.config.values import FilePath, Group, Role
from alexnet_dist.distributed.cores import available_cores
from alexnet_dist.errors import DONE, RankFailed, RunFailed, UsageError, one_of, refusing
from alexnet_dist.registry import commands

if TYPE_CHECKING:
    from alexnet_dist.data.imagenet.index import Index

SECONDS_BETWEEN_LINES = 10.0
ABOUT = """Get data sets, prepare image files, verify and show what is there.

alexnet-dist data fetch                         Fashion-MNIST, where it is missing
alexnet-dist data fetch photographs             255 photographs in 7 classes
alexnet-dist data fetch tiles                   6,164 tiles of 45 large photographs, the classes
alexnet-dist data prepare imagenet SRC DST      ILSVRC-2012, to shards of 256 x 256
alexnet-dist data prepare image_folder SRC DST  any folder with a folder for each class
alexnet-dist data verify DST                    every file against the index's checksums
alexnet-dist data show FOLDER                   counts by class and a contact sheet, prepared or not
"""

Action = Literal["fetch", "prepare", "verify", "show"]
# The flags of each; another's have no effect.
OWN_FLAGS = {
    "fetch fashion_mnist": ("root", "mirror"),
    "fetch photographs": ("root",),
    "fetch tiles": ("root", "side"),
    "prepare": ("format", "size", "quality", "subsampling", "shard_samples", "workers", "broken"),
    "verify": ("workers",),
    "show": ("output",),
}


class DataFlags(Group):
    action: Annotated[list[str], Action, Role.ARGUMENT] = Field(
        min_length=1, description="fetch [NAME], prepare NAME SRC DST, verify DST, or show FOLDER"
    )
    root: FilePath | None = Field(None, description="fetch: folder; default: the data set's usual place")
    mirror: list[str] | None = Field(
        None, description="fetch fashion_mnist: address of a folder with the files; may be repeated"
    )
    side: int = Field(128, ge=16, le=1024, description="fetch tiles: height and width of a tile")
    format: Literal["jpeg", "raw"] = Field("jpeg", description="prepare: what a shard holds; raw: pixels, in .npy")
    size: int = Field(256, ge=16, le=1024, description="prepare: shorter side before the central square is cut out")
    quality: int = Field(90, ge=1, le=100, description="prepare: of JPEG")
    subsampling: Literal["420", "422", "444"] = Field("420", description="prepare: of JPEG's colours")
    shard_samples: int = Field(4096, ge=1, le=65_536, description="prepare: images in a shard")
    workers: int | None = Field(None, ge=1, le=256, description="prepare, verify: threads; default: one a core")
    broken: Literal["skip", "refuse"] = Field(
        "skip", description="prepare: image files that cannot be read are left out and named at the end; or refused"
    )
    output: FilePath = Field("contact-sheet.png", min_length=1, description="show: the picture's file")


FLAGS = Flags(DataFlags)


def run(flags: Sequence[str]) -> int:
    """Do what the first word says.

    Raises:
        UsageError: a word or a flag is wrong, or what it names is not there.
        RunFailed: files are damaged, or a disk fails.
    """
    own, _ = FLAGS.split(flags)
    action, *words = own.action
    actions = {"fetch": _fetch, "prepare": _prepare, "verify": _verify, "show": _show}
    if action not in actions:
        raise UsageError("ACTION", action, one_of(action, actions))
    if action == "fetch":
        words = words or ["fashion_mnist"]
    _check_flags(own, f"fetch {words[0]}" if action == "fetch" else action)
    try:
        actions[action](own, words)
    except RankFailed as error:
        raise RunFailed(str(error)) from None
    return DONE


def _check_flags(own: DataFlags, what: str) -> None:
    """Refuse flags without effect; a name that cannot be fetched is refused later."""
    used = OWN_FLAGS.get(what, DataFlags.model_fields)
    for name, value in own:
        if name != "action" and name not in used and value != DataFlags.model_fields[name].default:
            raise UsageError(FLAGS.own_flags[name].typed, value, f"has no effect on data {what}")


def _fetch(own: DataFlags, words: Sequence[str]) -> None:
    (name,) = _named(words, "NAME")
    if name == "fashion_mnist":
        from alexnet_dist.data.fetch.fashion_mnist import fetch
        from alexnet_dist.data.sets.fashion_mnist import check_published

        folder = fetch(own.root, own.mirror)
        check_published(folder)
        print(f"Fashion-MNIST is in {folder}")
    elif name == "photographs":
        from alexnet_dist.data.fetch import photographs

        print(f"the photographs are in {photographs.fetch(own.root)}")
    elif name == "tiles":
        from alexnet_dist.data.fetch import tiles

        print(f"the tiles are in {tiles.fetch(own.root, own.side)}")
    else:
        raise UsageError("NAME", name, one_of(name, ("fashion_mnist", "photographs", "tiles")))


def _prepare(own: DataFlags, words: Sequence[str]) -> None:
    name, source, target = _named(words, "NAME", "SRC", "DST")
    from alexnet_dist.config.schema import DataConfig
    from alexnet_dist.data.imagenet.index import PARTS, Encoding
    from alexnet_dist.data.imagenet.layouts import find_layout
    from alexnet_dist.data.imagenet.listing import list_images
    from alexnet_dist.data.imagenet.prepare import Preparation
    from alexnet_dist.registry import data_sets

    if name not in ("imagenet", "image_folder"):
        raise UsageError("NAME", name, one_of(name, ("imagenet", "image_folder")))
    with _reading("SRC", source):
        data_sets[name].check(DataConfig(name=name, root=source))
        layout = find_layout(Path(source))
        if Path(target).resolve().parent in (layout.train.resolve(), layout.test.resolve()):
            raise UsageError("DST", target, "each folder there is a class of SRC: choose one elsewhere")
        listing = list_images(layout)
    encoding = Encoding.of(own.format, own.size, own.quality, own.subsampling)
    threads = own.workers or available_cores()
    preparation = Preparation(listing, Path(target), encoding, own.shard_samples, threads, own.broken == "refuse")
    with _progress("preparing", len(listing.train) + len(listing.test), "images") as progress:
        index = preparation.run(progress)
    for part in PARTS:
        for image, reason in index.parts[part].left_out.items():
            print(f"left out: {image}: {reason}")
    print(f"{target}: {_contents(index)}")


def _verify(own: DataFlags, words: Sequence[str]) -> None:
    (target,) = _named(words, "DST")
    from alexnet_dist.data.imagenet.index import read_index
    from alexnet_dist.data.imagenet.verify import verify

    with _reading("DST", target):
        index = read_index(Path(target))
    with _progress("verifying", len(index.files()), "files") as progress:
        problems = verify(Path(target), index, own.workers or available_cores(), progress)
    if problems:
        print(*problems, sep="\n")
        raise RunFailed(f"{target}: {len(problems)} of {len(index.files())} files differ from the index")
    print(f"{target}: {_contents(index)}, all {len(index.files())} files as they were written")


def _show(own: DataFlags, words: Sequence[str]) -> None:
    (folder,) = _named(words, "FOLDER")
    check_output(Path(own.output))
    import numpy as np
    import torch

    from alexnet_dist.config.schema import DataConfig
    from alexnet_dist.data.imagenet.contact_sheet import contact_sheet
    from alexnet_dist.data.imagenet.open_parts import labels_of, open_parts
    from alexnet_dist.registry import data_sets

    settings = DataConfig(name="image_folder", root=folder, workers=available_cores())
    with _reading("FOLDER", folder):
        parts = open_parts(Path(folder), settings, torch.device("cpu"))
    names = data_sets["image_folder"].facts(settings).class_names
    labels = [labels_of(part) for part in (parts.train, parts.test)]
    _print_counts(names, [np.bincount(part, minlength=len(names)).tolist() for part in labels])
    try:
        with new_file(Path(own.output)) as path:
            contact_sheet(parts.train, labels[0], names).save(path)
    except ValueError:  # Pillow's message would have the ending of the temporary file
        raise UsageError("--output", own.output, "is of no format that Pillow writes: end its name in .png") from None
    print(f"{own.output}: a row for each class, of the training images")


def _print_counts(names: Sequence[str], counts: Sequence[Sequence[int]]) -> None:
    from rich.table import Table

    from alexnet_dist.telemetry.console import new_console

    table = Table("class", *(f"{part} images" for part in ("training", "test")))
    for name, *numbers in (*zip(names, *counts, strict=True), ("all", *map(sum, counts))):
        table.add_row(name, *map(str, numbers))
    new_console().print(table)


def _named(words: Sequence[str], *names: str) -> Sequence[str]:
    """The words of an action, as many as have names; all but NAME are folders."""
    if len(words) < len(names):
        raise UsageError(names[len(words)], "", "is missing; see alexnet-dist data --help")
    if len(words) > len(names):
        raise UsageError("command line", words[len(names)], "is one word too many; see alexnet-dist data --help")
    return [word if name == "NAME" else _folder(name, word) for name, word in zip(names, words, strict=True)]


def _folder(name: str, word: str) -> str:
    """A path as it is used."""
    try:
        return TypeAdapter[str](FilePath).validate_python(word)
    except ValidationError as error:
        raise UsageError(name, word, error.errors()[0]["msg"]) from None


@contextmanager
def _reading(word: str, folder: str) -> Iterator[None]:
    """Errors about the folder name the command's own word for it instead of `data.root`."""
    try:
        with refusing(word, folder):
            yield
    except UsageError as error:
        raise UsageError(error.field.replace("data.root", word), error.given, error.remedy) from None


def _contents(index: Index) -> str:
    how = index.encoding
    stored = "raw" if how.kind == "raw" else f"JPEG of quality {how.quality}, {how.subsampling}"
    train, test = (f"{index.parts[part].samples:,}" for part in ("train", "test"))
    images = f"{train} training and {test} test images of {len(index.classes)} classes"
    return f"{images}, {how.size} x {how.size}, {stored}"


@contextmanager
def _progress(label: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """A bar with the rate and the time left; without a terminal, a line now and then."""
    from alexnet_dist.telemetry.progress import ProgressBar

    began: tuple[float, int] | None = None
    said = time.monotonic()

    def show(done: int) -> None:
        nonlocal began, said
        now = time.monotonic()
        began = began or (now, done)
        rate = (done - began[1]) / (now - began[0] or 1)
        left = f", {timedelta(seconds=round((total - done) / rate))} left" if rate else ""
        if bar.is_drawn or now - said >= SECONDS_BETWEEN_LINES:
            said = now
            bar.show(done, f"{rate:.0f} {unit}/s", f"{label}: {done:,} of {total:,} {unit}, {rate:.0f} a second{left}")

    with ProgressBar(label, total) as bar:
        yield show


COMMAND = commands.register(Command("data", "fetch, prepare, verify and show images", run, FLAGS, ABOUT, records=True))
