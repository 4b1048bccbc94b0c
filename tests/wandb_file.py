"""Reads W&B's offline file: LevelDB's log format around W&B's own protobufs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]  # made when it is imported

BLOCK, FILE_HEADER, RECORD_HEADER = 32_768, 7, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(path: Path) -> Iterator[Record]:
    """Every record of a `run-*.wandb` file."""
    raw, position, parts = path.read_bytes(), FILE_HEADER, b""
    while position + RECORD_HEADER <= len(raw):
        left = BLOCK - position % BLOCK
        if left < RECORD_HEADER:  # the rest of a block that is too small for a header is padding
            position += left
            continue
        length = int.from_bytes(raw[position + 4 : position + 6], "little")
        kind = raw[position + 6]
        parts += raw[position + RECORD_HEADER : position + RECORD_HEADER + length]
        position += RECORD_HEADER + length
        if kind in (FULL, LAST):
            record = Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def contents(path: Path) -> dict[str, Any]:
    """What a run is called and belongs to, its config, the curve's rows and the final summary."""
    found: dict[str, Any] = {"config": {}, "history": [], "summary": {}}
    for record in records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            found |= {"project": run.project, "entity": run.entity, "group": run.run_group, "name": run.display_name}
            found |= {"tags": list(run.tags), "notes": run.notes}
            for item in record.run.config.update:
                found["config"][item.key] = json.loads(item.value_json)
        elif kind == "config":
            for item in record.config.update:
                found["config"][item.key] = json.loads(item.value_json)
        elif kind == "history":
            found["history"].append({_key(item): json.loads(item.value_json) for item in record.history.item})
        elif kind == "summary":
            found["summary"].update({_key(item): json.loads(item.value_json) for item in record.summary.update})
    return found


def offline_run(folder: Path) -> dict[str, Any]:
    """The contents of the only file of W&B's below a run's folder."""
    (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    return contents(file)


def _key(item: Any) -> str:
    return item.key or ".".join(item.nested_key)
