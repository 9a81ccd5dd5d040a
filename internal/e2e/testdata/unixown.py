# This server creates its Unix socket with umask 0, like gunicorn, so every user can connect.
import http.server
import os
import socketserver
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    def address_string(self):
        return "-"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")


os.umask(0)
socketserver.ThreadingUnixStreamServer(sys.argv[1], Handler).serve_forever()
