"""GET /PATH appends a line to the file PATH, and returns the result and the user ID of the worker."""
import os
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            with open(self.path, "a") as f:
                f.write("written\n")
            result = "written"
        except OSError as e:
            result = e.strerror
        body = f"{result} by {os.getuid()}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


HTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
