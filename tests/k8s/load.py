"""Clients that ask one model without a pause worth speaking of, as a program of its own in a pod.

``python3 load.py MODEL service=ADDRESS pods=ADDRESS pods=ADDRESS``: a client for each address; those of one name count
together. Every request is a new connection, and every other answer is a stream. No request is tried again: what a
client would notice counts as failed. Port 8001 answers with the figures; after a ``POST`` they begin anew. The key is
in LITELLM_MASTER_KEY.
"""

from __future__ import annotations

import http.client
import http.server
import json
import os
import sys
import threading
import time
from itertools import count
from typing import Any

PORT = 8001
PAUSE = 0.25


class Figures:
    """Requests made and failed, some of the failures, and the longest time in seconds without a good answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._requests, self._silence, self._last = 0, 0.0, time.monotonic()
        self._failures: list[str] = []

    def show(self, *, anew: bool) -> dict[str, Any]:
        with self._lock:
            silence = max(self._silence, time.monotonic() - self._last)
            failures = self._failures
            shown = {"requests": self._requests, "failed": len(failures), "failures": failures[:20], "silence": silence}
            if anew:
                self._begin()
            return shown

    def note(self, problem: str) -> None:
        with self._lock:
            self._requests += 1
            if problem:
                self._failures.append(problem)
                return
            now = time.monotonic()
            self._silence, self._last = max(self._silence, now - self._last), now


def ask(host: str, model: str, *, stream: bool) -> str:
    """One completion; what was wrong with it, or nothing."""
    connection = http.client.HTTPConnection(host, 4000, timeout=30)
    try:
        body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "stream": stream}
        headers = {"authorization": f"Bearer {os.environ['LITELLM_MASTER_KEY']}", "content-type": "application/json"}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        if answer.status != 200:
            return f"{answer.status}: {text[:300]}"
        whole = text.rstrip().endswith("data: [DONE]") if stream else "hello from" in text
        return "" if whole else f"not whole: {text[-300:]}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()


def client(figures: Figures, host: str, model: str) -> None:
    for number in count():
        figures.note(ask(host, model, stream=number % 2 == 1))
        time.sleep(PAUSE)


def main(model: str, *targets: str) -> None:
    figures: dict[str, Figures] = {}
    for target in targets:
        name, _, host = target.partition("=")
        of_name = figures.setdefault(name, Figures())
        threading.Thread(target=client, args=(of_name, host, model), daemon=True).start()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self, *, anew: bool = False) -> None:  # http.server's name
            body = json.dumps({name: each.show(anew=anew) for name, each in figures.items()}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:  # http.server's name
            self.do_GET(anew=True)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    http.server.ThreadingHTTPServer(("0.0.0.0", PORT), Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
