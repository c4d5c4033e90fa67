"""A small HTTP server that answers as a served model does, for tests of what asks one."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Reply = Callable[[list[dict]], tuple[int, bytes]]


@contextlib.contextmanager
def answering(reply: Reply) -> Iterator[tuple[str, list[tuple[str, dict]]]]:
    """Serves one reply to all requests.

    Args:
        reply: From videos to status and content; of no videos for requests without any, as /ping.

    Yields:
        The address of the server, and the paths and contents that were posted to it so far.
    """
    posted: list[tuple[str, dict]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            posted.append((self.path, content))
            self._send(*reply(content["dataframe_records"]))

        def do_GET(self):
            self._send(*reply([]))

        def _send(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", posted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
