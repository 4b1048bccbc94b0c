"""A server that implements as much of W&B's protocol as a run needs, and stops answering on request."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, Self

PROJECT = {"id": "p", "name": "p", "entity": {"id": "e", "name": "e"}}
BUCKET = {"id": "b", "displayName": "run", "config": "{}", "historyLineCount": 0, "project": PROJECT}
ANSWER = {
    "createRunFiles": {"runID": "b", "uploadHeaders": [], "files": []},
    "viewer": {"id": "v", "username": "v", "entity": "e", "flags": "{}", "teams": {"edges": []}},
    "serverInfo": {"cliVersionInfo": {}, "features": []},
}


def answer(query: dict[str, Any]) -> dict[str, Any]:
    """Everything that a query can ask for; a run keeps the id that it was sent with."""
    bucket = BUCKET | {"name": query["variables"].get("name")}
    return {"data": ANSWER | {"upsertBucket": {"bucket": bucket, "inserted": True}}}


class WandbServer(ThreadingHTTPServer):
    """Stops answering from the first request of a given kind on.

    Args:
        silent_from: "connect": at once; "graphql": it says that it is there, no more; "file_stream": a run starts, and
            its first numbers are the last thing that is heard; "": never.

    Attributes:
        sent: what was posted, by path.
    """

    daemon_threads = True

    def __init__(self, silent_from: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.silent_from, self.silent, self.closed = silent_from, Event(), Event()
        self.sent: list[tuple[str, Any]] = []
        if silent_from == "connect":
            self.silent.set()

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a user who is logged in there."""
        url = f"http://127.0.0.1:{self.server_address[1]}"
        return {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": url, "WANDB_MODE": "online"}

    def __enter__(self) -> Self:
        Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closed.set()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: WandbServer

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.sent.append((self.path, raw))
        if self.server.silent_from and self.path.endswith(self.server.silent_from):
            self.server.silent.set()
        self._answer(answer(json.loads(raw)) if self.path == "/graphql" else {})

    def _answer(self, values: dict[str, Any]) -> None:
        if self.server.silent.is_set():
            self.server.closed.wait()
            return
        body = json.dumps(values).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
