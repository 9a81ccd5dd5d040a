# Sends messages by the journal's own protocol as fast as it can, for some seconds.
import socket
import sys
import time

journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.connect("/run/systemd/journal/socket")
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    journal.send(b"MESSAGE=y\nPRIORITY=6\n")
