# reader.py PORT N requests N streams. It prints "reading from" and its addresses when it has received data on each stream, and
# reads until the server has closed all streams.
import socket, sys

streams = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(int(sys.argv[2]))]
for s in streams:
    s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
for s in streams:
    while b"tick" not in s.recv(1000):
        pass
print("reading from", *sorted("127.0.0.1:%d" % s.getsockname()[1] for s in streams), flush=True)
for s in streams:
    try:
        while s.recv(1000):
            pass
    except OSError:
        pass
