"""Writes checkpoints while training goes on."""

import operator
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import torch.distributed as dist
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
from torch.distributed.checkpoint.state_dict_saver import save

from alexnet_dist.config.schema import CheckpointConfig
from alexnet_dist.distributed.devices import use_device
from alexnet_dist.distributed.mesh import World, new_host_group
from alexnet_dist.distributed.tree import Tree
from alexnet_dist.distributed.waits import unwatched
from alexnet_dist.errors import RankFailed, reason_of
from alexnet_dist.training.checkpoints import files
from alexnet_dist.training.checkpoints.files import Manifest
from alexnet_dist.training.checkpoints.host_copies import HostCopies

T = TypeVar("T")

ATTEMPTS = 2
LOOK_SECONDS = 1.0
WRITE_TIMEOUT = timedelta(minutes=30)  # the net of 2012 takes minutes on a slow shared disk; training goes on


class _NotWritten(Exception):
    """An attempt to write a checkpoint failed on some rank."""


class CheckpointWriter:
    """Copies the state in the caller's thread and writes it in another one.

    Its construction is collective.

    Args:
        world: the ranks, all of which write their own parts.
        folder: the run's `checkpoints` folder, on a disk that all ranks share.
        settings: which checkpoints are kept.
        say: prints one line on one rank.
        guard: called on the first rank before anything is written; raises where the folder is no longer this run's.
    """

    def __init__(
        self,
        world: World,
        folder: Path,
        settings: CheckpointConfig,
        say: Callable[[str], None],
        guard: Callable[[], None] = lambda: None,
    ) -> None:
        self._guard = guard
        self._world, self._folder, self._settings, self._say = world, folder, settings, say
        # A group of its own: the writing thread's messages must not mix with the loop's.
        self._group = new_host_group(WRITE_TIMEOUT) if world.size > 1 else None
        if self._group is not None:
            _connect(self._group)
        self._copies = HostCopies()
        self._thread: Thread | None = None
        self._saved: int | None = None
        self._problem: str | None = None
        self._missing: dict[int, str] = {}  # why there is no checkpoint of a step that there should be at the end

    def save(self, state: Mapping[str, Tensor], step: int, facts: Mapping[str, Any]) -> None:
        """Write a checkpoint. Collective. Returns when the state may change; a failure to write is a warning.

        Args:
            state: what `Engine.state` returned.
            step: optimizer steps done.
            facts: the rest of the manifest.
        """
        self.wait()
        copied = self._copies.copy(state)
        self._thread = Thread(target=self._write, args=(copied, step, facts), name="checkpoint", daemon=True)
        self._thread.start()
        if not self._settings.background:
            self.wait()

    def wait(self) -> None:
        """Wait until the last checkpoint is written. Collective.

        Raises:
            RuntimeError: a rank hangs: it does not say within `train.timeout` that it is still writing. Writing itself
                may take longer.
        """
        if self._thread is None:
            return
        tree, writing = Tree(self._world.control), True
        while writing:
            self._thread.join(LOOK_SECONDS)
            writing = tree.broadcast(tree.reduce(self._thread.is_alive(), operator.or_))
        self._thread = None
        assert self._saved is not None, "the thread's"
        every = self._settings.keep_every
        # A later checkpoint makes up for a missing earlier one, unless `keep_every` would have kept that one.
        self._missing = {step: why for step, why in self._missing.items() if every and step % every == 0}
        if self._problem is not None:
            self._missing[self._saved] = self._problem
            self._say(f"warning: no checkpoint of step {self._saved}: {self._problem}")
        else:
            self._missing.pop(self._saved, None)

    def missing(self) -> str | None:
        """Wait, and say which checkpoint is not on the disk although it should be at the end, and why."""
        self.wait()
        return next((f"the checkpoint of step {step}: {why}" for step, why in self._missing.items()), None)

    def _write(self, state: dict[str, Tensor], step: int, facts: Mapping[str, Any]) -> None:
        self._saved = step
        use_device(self._world.device)
        try:
            self._copies.wait()
            with unwatched():
                for _ in range(ATTEMPTS):
                    self._problem = self._attempt(state, step, facts)
                    if self._problem is None:
                        break
        except Exception as error:
            # Another rank is gone: the loop will find out, and report the reason.
            self._problem = reason_of(error)

    def _attempt(self, state: dict[str, Tensor], step: int, facts: Mapping[str, Any]) -> str | None:
        """One attempt to write a checkpoint. Collective: every rank returns the same, whichever had the problem."""
        first, temporary = self._world.rank == 0, files.temporary_path(self._folder, step)
        checksums: dict[str, str] = {}

        def begin() -> None:
            self._guard()
            files.make_temporary(self._folder, step)

        def publish() -> None:
            self._guard()
            files.write_manifest(temporary, Manifest(step=step, files=checksums, **facts))
            files.publish(temporary, self._folder, step)

        try:
            self._on_first_rank(begin)
            self._on_all_ranks(lambda: self._write_tensors(state, temporary))
            for part in self._on_all_ranks(lambda: self._own_checksums(temporary)):
                checksums |= part
            self._on_first_rank(publish)
        except _NotWritten as problem:
            if first:
                self._discard(temporary)
            return str(problem)
        if first:
            self._prune()
        return None

    def _discard(self, temporary: Path) -> None:
        """Remove a half-written checkpoint, unless another run has the folder by now: it may be that run's."""
        with suppress(RankFailed):
            self._guard()
            shutil.rmtree(temporary, ignore_errors=True)

    def _prune(self) -> None:
        try:
            files.prune(self._folder, self._settings.keep, self._settings.keep_every)
        except OSError as error:
            self._say(f"warning: older checkpoints could not be removed: {reason_of(error)}")

    def _write_tensors(self, state: dict[str, Tensor], path: Path) -> None:
        writer = HuggingFaceStorageWriter(str(path), save_distributed=True)
        # Else torch takes these tensors for a GPU's, and waits again and again until the GPU has taken all its steps.
        writer.per_thread_copy_ahead = 0
        save(state, storage_writer=writer, process_group=self._group, no_dist=self._group is None)

    def _own_checksums(self, path: Path) -> dict[str, str]:
        """Checksums of the files that this rank is to read back: every world.size-th of all."""
        mine = sorted(path.iterdir())[self._world.rank :: self._world.size]
        return {file.name: files.sha256_of(file) for file in mine}

    def _on_first_rank(self, action: Callable[[], None]) -> None:
        """Call `action` on the first rank. Collective.

        Raises:
            _NotWritten: on every rank, with the first one's problem.
        """
        self._on_all_ranks(action if self._world.rank == 0 else lambda: None)

    def _on_all_ranks(self, action: Callable[[], T]) -> list[T]:
        """What `action` returns on each rank, on the first one. Collective.

        Raises:
            _NotWritten: on every rank, with the problem of the first that had one.
        """
        problem, result = None, None
        try:
            result = action()
        except (Exception, CheckpointException) as error:  # the latter is no Exception
            problem = f"{reason_of(_cause(error))} (rank {self._world.rank})"
        tree = Tree(self._group)
        outcomes = tree.gather((problem, result))
        problem = tree.broadcast(next((problem for problem, _ in outcomes if problem is not None), None))
        if problem is not None:
            raise _NotWritten(problem)
        return [result for _, result in outcomes if result is not None]


def _connect(group: dist.ProcessGroup) -> None:
    """Make the connections that writing needs. Collective.

    They are made at first use, through the launcher's store; but the launcher may be gone when the last checkpoint is
    written.
    """
    first, nothing = group.rank() == 0, [None] * group.size()
    dist.gather_object(None, nothing if first else None, group=group, group_dst=0)
    dist.scatter_object_list([None], nothing if first else None, group=group, group_src=0)
    dist.broadcast_object_list([None], group=group, group_src=0)
    Tree(group).broadcast(Tree(group).reduce(None, lambda a, _: a))


def _cause(error: BaseException) -> BaseException:
    """The cause of an error: the message of torch's own has a whole traceback before the reason."""
    if isinstance(error, CheckpointException):
        return next((failure[0] for failure in error.failures.values()), error)
    return error
