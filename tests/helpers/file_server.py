"""A loopback web server for tests of downloads: pages from a dictionary, and mishaps on request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class Site:
    """``pages`` by path; ``mishaps``: per path what the next answers do, "cut" (break off half way) or a status."""

    url: str = ""
    pages: dict[str, bytes] = field(default_factory=dict)
    mishaps: dict[str, list[str | int]] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    ranges: bool = True


@contextmanager
def file_server() -> Iterator[Site]:
    """Serve a site until the block ends."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.requests.append((self.path, dict(self.headers)))
            mishap = site.mishaps[self.path].pop(0) if site.mishaps.get(self.path) else None
            if isinstance(mishap, int) or self.path not in site.pages:
                self.send_error(mishap if isinstance(mishap, int) else 404)
                return
            content, status = site.pages[self.path], 200
            start = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if start and site.ranges:
                content, status = content[int(start[1]) :], 206
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if mishap == "cut" else content)

        def log_message(self, format: str, *args: object) -> None:
            """Silence: the requests are kept."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
