"""A thread that communicates while the main thread trains."""

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

import torch

from alexnet_dist.distributed.devices import use_device
from alexnet_dist.distributed.waits import unwatched

T = TypeVar("T")


class Background(Generic[T]):
    """Calls functions one after the other in a thread.

    The process may end while one of them waits for another rank; it would wait for a ThreadPoolExecutor's.

    Args:
        name: of the thread.
        device: that the functions work on.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        self._device = device
        self._calls: SimpleQueue[tuple[Callable[[], T], Future[T]]] = SimpleQueue()
        Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, function: Callable[[], T]) -> Future[T]:
        """What the function will return, or raise."""
        future: Future[T] = Future()
        self._calls.put((function, future))
        return future

    def _run(self) -> None:
        use_device(self._device)
        with unwatched():
            while True:
                function, future = self._calls.get()
                try:
                    future.set_result(function())
                except Exception as error:
                    future.set_exception(error)
