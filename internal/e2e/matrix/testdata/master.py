# The master runs as root and serves requests. Its child process runs as the user nobody and tries to bind the same address.
# Each response of the master is the result of this bind.
import errno, http.server, os, socket

port = int(os.environ["PORT"])
result_read, result_write = os.pipe()

def child():
    os.setgroups([])
    os.setuid(65534)
    s = socket.socket()
    try:
        s.bind(("0.0.0.0", port))
        s.listen()
    except OSError as e:
        os.write(result_write, errno.errorcode[e.errno].encode())
        return
    os.write(result_write, b"bound")
    while True:
        c, _ = s.accept()
        c.recv(4096)
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nstolen")

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(result)))
        self.end_headers()
        self.wfile.write(result)
    def log_message(self, *a):
        pass

server = http.server.HTTPServer(("0.0.0.0", port), Handler)
if os.fork() == 0:
    child()
    os._exit(0)
result = os.read(result_read, 64)
server.serve_forever()
