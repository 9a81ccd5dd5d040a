# This server sets options on its socket before and after bind. Its response contains, for each option, the values of the
# connection and of the listener, as NAME=CONNECTION/LISTENER.
import signal
import socket
import sys

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
INT = {
    "TCP_NODELAY": (socket.IPPROTO_TCP, socket.TCP_NODELAY),
    "SO_KEEPALIVE": (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    "TCP_KEEPIDLE": (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
    "TCP_USER_TIMEOUT": (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
    "SO_RCVBUF": (socket.SOL_SOCKET, socket.SO_RCVBUF),
    "TCP_DEFER_ACCEPT": (socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT),
    "TCP_FASTOPEN": (socket.IPPROTO_TCP, socket.TCP_FASTOPEN),
    "IP_TOS": (socket.IPPROTO_IP, socket.IP_TOS),
}
port, before, after = int(sys.argv[1]), sys.argv[2], sys.argv[3]
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def apply(words):
    for word in filter(None, words.split(",")):
        name, value = word.split("=")
        s.setsockopt(*INT[name], int(value))


apply(before)
s.bind(("0.0.0.0", port))
s.listen(100)
apply(after)
while True:
    c, _ = s.accept()
    c.recv(65536)
    body = " ".join("%s=%d/%d" % (n, c.getsockopt(*o), s.getsockopt(*o)) for n, o in INT.items()).encode()
    c.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    c.close()
