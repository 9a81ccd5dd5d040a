"""This hostile worker ignores SIGTERM, and sends EXTEND_TIMEOUT_USEC= to systemd every 200 ms."""
import os
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

signal.signal(signal.SIGTERM, signal.SIG_IGN)


def notify(text):
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.connect(os.environ.get("NOTIFY_SOCKET", "/run/systemd/notify"))
            s.send(text.encode())
    except OSError:
        pass


def extend_timeouts():
    while True:
        notify("EXTEND_TIMEOUT_USEC=600000000")
        time.sleep(0.2)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"hello from {self.path} by {os.getpid()}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


threading.Thread(target=extend_timeouts, daemon=True).start()
here = os.path.dirname(os.path.abspath(__file__))
if os.path.exists(os.path.join(here, "crash", os.environ["NAME"] + "-never")):
    time.sleep(10**6)
if "PORT" in os.environ:
    HTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
notify("READY=1")
print("holding", flush=True)
time.sleep(10**6)
