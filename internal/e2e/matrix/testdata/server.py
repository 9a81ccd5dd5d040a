"""This is a common server with Python's http.server. It serves one request at a time."""
import os
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        time.sleep(int(dict(urllib.parse.parse_qsl(url.query)).get("ms", 0)) / 1000)
        body = f"hello from {url.path} by {os.getpid()}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


HTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
