"""What can be extended: each kind of extension is a registry of entries, found by name.

An entry holds a name and light facts. If its implementation is slow to import, the entry gives only a dotted path,
which `load` imports when it is needed; so listing names and checking settings import neither torch nor Accelerate. The
package's own entries register themselves in the modules named below; others are registered by the modules that
ALEXNET_DIST_PLUGINS lists (separated by commas; every rank reads it) or that an installed distribution declares as an
entry point of the group `alexnet_dist.plugins`.
"""

import os
import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Protocol, TypeVar

from alexnet_dist.errors import UsageError, one_of

PLUGINS, ENTRY_POINTS = "ALEXNET_DIST_PLUGINS", "alexnet_dist.plugins"


class Named(Protocol):
    """What a registry holds."""

    @property
    def name(self) -> str: ...


Entry = TypeVar("Entry", bound=Named)


class Registry:
    """Entries of one kind, in the order in which they were registered.

    Args:
        kind: in words, for messages.
        home: the module that registers the program's own entries, or a package of such modules; imported at first use.
    """

    def __init__(self, kind: str, home: str) -> None:
        self.kind = kind
        self._home = home
        self._entries: dict[str, Any] = {}
        self._own_imported = False

    def register(self, entry: Entry) -> Entry:
        """Add an entry.

        Raises:
            ValueError: its name is taken.
        """
        if _loading_plugins:
            self._import_own()  # the program's own entries come first, and keep their names
        if entry.name in self._entries:
            raise ValueError(f"there is a {self.kind} called {entry.name} already")
        self._entries[entry.name] = entry
        return entry

    def names(self) -> tuple[str, ...]:
        return tuple(self._all())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._all().values())

    def __contains__(self, name: str) -> bool:
        return name in self._all()

    def __getitem__(self, name: str) -> Any:
        """The entry of a name.

        Raises:
            UsageError: there is none of that name.
        """
        entries = self._all()
        if name not in entries:
            raise UsageError(self.kind, name, one_of(name, sorted(entries)))
        return entries[name]

    def _all(self) -> dict[str, Any]:
        self._import_own()
        load_plugins()
        return self._entries

    def _import_own(self) -> None:
        if not self._own_imported:
            self._own_imported = True  # before the imports: a module that registers may look others up
            home = import_module(self._home)
            for module in pkgutil.iter_modules(getattr(home, "__path__", [])):
                if not module.ispkg:
                    import_module(f"{self._home}.{module.name}")


_loading_plugins = False


@cache
def load_plugins() -> None:
    """Import every plugin, once.

    Raises:
        UsageError: one cannot be imported.
    """
    global _loading_plugins
    if _loading_plugins:  # a plugin looks entries up while it is imported
        return
    _loading_plugins = True
    named = [(PLUGINS, name.strip()) for name in os.environ.get(PLUGINS, "").split(",") if name.strip()]
    installed = [(ENTRY_POINTS, point.module) for point in entry_points(group=ENTRY_POINTS)]
    for source, module in [*named, *installed]:
        try:
            import_module(module)
        except Exception as error:
            missing = isinstance(error, ModuleNotFoundError) and error.name == module
            remedy = ": is its folder in PYTHONPATH?" if missing else ""
            raise UsageError(source, module, f"cannot be imported ({type(error).__name__}: {error}){remedy}") from error
    _loading_plugins = False


def load(path: str) -> Any:
    """The object at a dotted path, "package.module:name"."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


commands = Registry("command", "alexnet_dist.commands")
nets = Registry("net", "alexnet_dist.nets.catalogue")
precisions = Registry("precision", "alexnet_dist.config.precisions")
data_sets = Registry("data set", "alexnet_dist.data.sets")
augmentations = Registry("augmentation", "alexnet_dist.data.augmentations")
strategies = Registry("strategy", "alexnet_dist.strategies")
optimizers = Registry("optimizer", "alexnet_dist.training.optimizers")
schedules = Registry("learning-rate schedule", "alexnet_dist.training.schedules")
step_metrics = Registry("metric of a step", "alexnet_dist.telemetry.step_metrics")
trackers = Registry("tracker", "alexnet_dist.telemetry.trackers")
compare_columns = Registry("column of compare", "alexnet_dist.compare.columns")
