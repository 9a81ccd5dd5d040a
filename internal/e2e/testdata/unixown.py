# A server on a Unix socket that every user may connect to, because of its umask, as with gunicorn.
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
