# flood.py SECONDS sends messages with the native protocol of the journal, without a pause, for this time.
import socket
import sys
import time

journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.connect("/run/systemd/journal/socket")
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    journal.send(b"MESSAGE=y\nPRIORITY=6\n")
