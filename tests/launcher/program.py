"""A program for launchers: `program.py FOLDER [DEED]` writes FOLDER/RANK.json, and then does the deed.

DEED: `fail` ends rank 1 with a reason, `refuse` with a refusal's, `crash` with a traceback, `quit` without a word,
`hang` never ends, `die` kills rank 1, `realtime` by a real-time signal, `abort` ends it as a C++ exception that nothing
catches.
"""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

folder, deed = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
rank = os.environ.get("RANK", "0")
names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "ACCELERATE_USE_CPU")
seen = {name: os.environ.get(name) for name in names} | {"pid": os.getpid(), "host": socket.gethostname()}
unfinished = folder / f"{rank}.unfinished"
unfinished.write_text(json.dumps(seen))
unfinished.rename(folder / f"{rank}.json")  # whole, whenever it is read

if deed == "hang":
    time.sleep(600)
elif deed and rank == "1":
    time.sleep(0.5)
    if deed == "fail":
        sys.exit("error: rank 1 has a reason")
    if deed == "refuse":
        print("error: field: value: remedy", file=sys.stderr)
        sys.exit(2)
    if deed == "quit":
        sys.exit(3)
    if deed == "crash":
        raise ValueError("a cause")
    if deed == "abort":
        print("terminate called after throwing an instance of 'Failed'\n  what():  a C++ cause", file=sys.stderr)
        os.abort()
    os.kill(os.getpid(), 35 if deed == "realtime" else signal.SIGKILL)
