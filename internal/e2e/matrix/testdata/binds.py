"""/binds calls bind ten thousand times in four threads, and returns the results. Every tenth call uses a port that is in use.
/descriptors returns the number of open descriptors, including the connection of the request."""
import errno
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

THREADS, TIMES = 4, 2500


def bind(port):
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
            return s.getsockname()[1] == port or port == 0
        except OSError as e:
            return errno.errorcode[e.errno]


def storm():
    results = {}
    lock = threading.Lock()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        taken = holder.getsockname()[1]

        def some():
            mine = [bind(taken if i % 10 == 0 else 0) for i in range(TIMES)]
            with lock:
                for r in mine:
                    results[r] = results.get(r, 0) + 1

        threads = [threading.Thread(target=some) for _ in range(THREADS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    return results


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/binds":
            body = " ".join(f"{k}:{v}" for k, v in sorted(storm().items(), key=str))
        elif self.path == "/descriptors":
            body = str(len(os.listdir("/proc/self/fd")))
        else:
            body = f"hello from {self.path} by {os.getpid()}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


HTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
