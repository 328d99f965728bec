"""A local web server for tests of downloads: pages from a dictionary, and faults on request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class Site:
    """``pages`` by path; ``faults``: per path what the next responses do, "cut" (break off half way) or a status."""

    url: str = ""
    pages: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[str | int]] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    ranges: bool = True


@contextmanager
def file_server() -> Iterator[Site]:
    """Serve a site until the block ends."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.requests.append((self.path, dict(self.headers)))
            fault = site.faults[self.path].pop(0) if site.faults.get(self.path) else None
            if isinstance(fault, int) or self.path not in site.pages:
                self.send_error(fault if isinstance(fault, int) else 404)
                return
            content, status = site.pages[self.path], 200
            start = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if start and site.ranges:
                content, status = content[int(start[1]) :], 206
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if fault == "cut" else content)

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing: the requests are in ``requests``."""

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
