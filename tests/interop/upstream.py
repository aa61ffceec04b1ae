"""A plain HTTP upstream on loopback: it records requests, and the path selects how it answers."""

import base64
import json
import threading
from collections import defaultdict
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass
class Seen:
    """A request that arrived completely."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


DESCRIBED = {
    "Content-Type": "text/plain", "Content-Language": "eo", "Content-Disposition": "inline", "ETag": '"1"',
    "Last-Modified": "Mon, 30 Nov 2026 13:44:39 GMT", "Accept-Ranges": "bytes", "Cache-Control": "public, max-age=60",
    "Expires": "Mon, 30 Nov 2026 14:44:39 GMT", "Age": "7", "Vary": "Accept", "Digest": "md5=x",
    "Content-Digest": "md5=:x:", "Repr-Digest": "md5=:x:", "Content-MD5": "x"}
OTHERS = [("X-Total", "17"), ("Link", "</x>; rel=next"), ("Link", "</y>; rel=prev"), ("Set-Cookie", "a=1"),
          ("Set-Cookie", "b=2"), ("Alt-Svc", "clear"), ("Strict-Transport-Security", "max-age=9")]


def pattern(size: int) -> bytes:
    """Bytes in which a shift, a gap or a repetition is noticed."""
    return b"".join(i.to_bytes(4, "big") for i in range(size // 4 + 1))[:size]


class Upstream:
    def __init__(self):
        self.seen: list[Seen] = []
        self.started: list[str] = []
        """Targets of all requests, including those that were cut off."""
        self.progress: dict[str, int] = defaultdict(int)
        """Body bytes read so far, per target."""
        self.moved = threading.Condition()
        self.gates: dict[str, threading.Semaphore] = defaultdict(lambda: threading.Semaphore(0))
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.upstream = self
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return "http://127.0.0.1:%d" % self._server.server_address[1]

    def about(self, text: str) -> list[Seen]:
        """The requests whose target contains `text`."""
        return [seen for seen in self.seen if text in seen.target]

    def wait_for_body(self, text: str, size: int, timeout: float = 5.0) -> bool:
        """Wait until `size` body bytes have arrived for a target that contains `text`."""
        with self.moved:
            return self.moved.wait_for(
                lambda: any(n >= size for target, n in self.progress.items() if text in target), timeout)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_any(self):
        upstream = self.server.upstream
        upstream.started.append(self.path)
        body = self._read_body()
        if body is None:
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        upstream.seen.append(Seen(self.command, self.path, headers, body))
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        answer = getattr(self, "answer_" + url.path.lstrip("/").split("/")[0].replace("-", "_"), self.answer_echo)
        answer(query, body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def log_message(self, *args):
        pass

    def _read_body(self) -> bytes | None:
        """The complete body, or None if the client disconnected."""
        body = b""
        try:
            if self.headers.get("transfer-encoding", "").lower() == "chunked":
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    body += self._arrived(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
            else:
                left = int(self.headers.get("content-length", 0))
                while left:
                    piece = self._arrived(self.rfile.read1(left))
                    if not piece:
                        return None
                    body, left = body + piece, left - len(piece)
        except (ValueError, OSError):
            return None
        return body

    def _arrived(self, piece: bytes) -> bytes:
        with self.server.upstream.moved:
            self.server.upstream.progress[self.path] += len(piece)
            self.server.upstream.moved.notify_all()
        return piece

    def _head(self, status: int, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def _whole(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self._head(status, ("Content-Length", str(len(body))), *headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _chunk(self, piece: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.flush()

    def answer_echo(self, query, body):
        echo = {"method": self.command, "target": self.path, "body": base64.b64encode(body).decode()}
        self._whole(
            int(query.get("status", 200)), json.dumps(echo).encode(),
            ("Content-Type", "application/json"), ("X-Tag", "sealed if asked for"), ("X-Plain", "in the clear"),
            ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"))

    def answer_bytes(self, query, body):
        self._whole(200, pattern(int(query["n"])), ("Content-Type", "application/x-pattern"))

    def answer_described(self, query, body):
        """A body with all headers that describe it, and some others."""
        self._whole(200, b"described", *DESCRIBED.items(), *OTHERS)

    def answer_untyped(self, query, body):
        self._whole(200, b"no content-type")

    def answer_chunks(self, query, body):
        self._head(200, ("Content-Type", "application/x-pattern"), ("Transfer-Encoding", "chunked"))
        data, size = pattern(int(query["n"])), int(query["size"])
        for at in range(0, len(data), size):
            self._chunk(data[at : at + size])
        self.wfile.write(b"0\r\n\r\n")

    def answer_events(self, query, body):
        """Server-sent events; each but the first waits until the test opens the gate named `id`."""
        self._head(200, ("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked"))
        gate = self.server.upstream.gates[query["id"]]
        for i in range(int(query["n"])):
            if i and not gate.acquire(timeout=5):
                break
            self._chunk(b"data: event %d\n\n" % i)
        self.wfile.write(b"0\r\n\r\n")

    def answer_no_content(self, query, body):
        self._head(204, ("X-Tag", "none"))

    def answer_not_modified(self, query, body):
        self._head(304, ("ETag", '"1"'))

    def answer_empty(self, query, body):
        self._whole(200, b"", ("Content-Type", "text/plain"))

    def answer_empty_chunked(self, query, body):
        self._head(200, ("Content-Type", "text/plain"), ("Transfer-Encoding", "chunked"))
        self.wfile.write(b"0\r\n\r\n")

    def answer_redirect(self, query, body):
        self._whole(302, b"", ("Location", self.server.upstream.url + "/landing?x=1"))

    def answer_cut(self, query, body):
        """Close the connection in the middle of the body."""
        self._head(200, ("Content-Type", "text/plain"), ("Content-Length", "100000"))
        self.wfile.write(pattern(1000))
        self.wfile.flush()
        self.close_connection = True

    def answer_cut_chunked(self, query, body):
        self._head(200, ("Content-Type", "text/plain"), ("Transfer-Encoding", "chunked"))
        self._chunk(pattern(1000))
        self.close_connection = True
