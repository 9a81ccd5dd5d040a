"""This worker runs the body of each request as a shell script, and responds with the output. It simulates a worker that
an attacker controls."""
import http.server
import os
import socket
import subprocess
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        script = self.rfile.read(int(self.headers["Content-Length"]))
        run = subprocess.run(["/bin/sh", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(run.stdout)

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    # This method does not look up the name of the machine, unlike the method of the base class.
    def server_bind(self):
        if "LISTEN_FDS" in os.environ:
            self.socket.close()
            self.socket = socket.socket(fileno=3)
        else:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(self.server_address)
        self.server_name, self.server_port = "localhost", int(sys.argv[1])

    def server_activate(self):
        if "LISTEN_FDS" not in os.environ:
            super().server_activate()


Server(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
