# This worker opens a UDP socket and joins a multicast group, as discovery services do. It prints the datagrams that it receives.
import os
import select
import socket
import sys

port, out = int(sys.argv[1]), sys.argv[2]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", port))
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("239.7.7.7") + socket.inet_aton("127.0.0.1"))
if len(sys.argv) > 3:  # also listen on this TCP port
    l = socket.create_server(("0.0.0.0", int(sys.argv[3])))
    if os.fork() == 0:
        while True:
            c, _ = l.accept()
            c.recv(4096)
            c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            c.close()
print("joined", flush=True)
while True:
    select.select([s], [], [])
    data = s.recv(2048)
    print("got " + data.decode(), flush=True)
