# A server that changes the path of its Unix socket like other servers: python unixserver.py DIRECTORY NAME SPELLING
import http.server
import os
import signal
import socket
import socketserver
import sys

directory, name, spelling = sys.argv[1:]
os.chdir(directory)
path = {
    "absolute": os.path.join(directory, name),
    "relative": name,
    "with dots": "../" + os.path.basename(directory) + "//./" + name,
}[spelling]


class Handler(http.server.BaseHTTPRequestHandler):
    def address_string(self):
        return "-"

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")


def say(*words):
    print(*words, flush=True)


def connects():
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect(path)
            return "connected"
        except OSError as e:
            return type(e).__name__


def stop(*_):
    here = os.open(".", os.O_RDONLY)
    os.rename(name, name + ".old", src_dir_fd=here, dst_dir_fd=here)
    os.unlink(name, dir_fd=here)
    os.unlink(path)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)


# Files that are not the listener: another name, and the same name in another directory.
other = "other-" + str(os.getpid())  # another instance does the same
os.mkdir(other)
for file in (other + "/" + name, name + other):
    open(file, "w").close()
    os.chmod(file, 0o600)
    os.rename(file, file + ".old")
    os.unlink(file + ".old")
say("left:", *os.listdir(other))
os.rmdir(other)

say("before:", connects())
if os.path.exists(path):
    os.unlink(path)
signal.signal(signal.SIGTERM, stop)
server = socketserver.ThreadingUnixStreamServer(path, Handler)
os.chmod(path, 0o777)
os.chmod(name, 0o777, dir_fd=os.open(".", os.O_RDONLY))
os.chown(path, 1, 1)
os.lchown(path, 1, 1)
say("after:", connects())
server.serve_forever()
