"""This server exits at its start if the file crash/NAME-INSTANCE exists. It prints the number of failures in its backoff file."""
import os
import pathlib
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

here = pathlib.Path(__file__).parent
state = pathlib.Path("/run/clusterctl", os.environ["NAME"], os.environ["INSTANCE"] + ".backoff")
failures = "".join(l for l in state.read_text().splitlines() if l.startswith("failures=")) if state.exists() else "failures=0"
print("starts with", failures, flush=True)
print("runtime directory", os.environ.get("RUNTIME_DIRECTORY", "none"), flush=True)
if (here / "crash" / f"{os.environ['NAME']}-{os.environ['INSTANCE']}").exists():
    sys.exit(7)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"hello from {self.path} by {os.getpid()}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


HTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
