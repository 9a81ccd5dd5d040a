# This worker starts child processes that write one log line and exit: to stdout, or with the native protocol of the journal.
import os
import socket
import time

journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.connect("/run/systemd/journal/socket")
fields = f"CLUSTERCTL_APP={os.environ['APP']}\nCLUSTERCTL_INSTANCE={os.environ['INSTANCE']}\nCLUSTERCTL_SENDER=worker\nPRIORITY=6\n"


def child(work):
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    os.waitpid(pid, 0)


os.write(1, b"begin\n")
for i in range(200):
    child(lambda: os.write(1, b"stdout %d\n" % i))
    child(lambda: journal.send(f"MESSAGE=native {i}\n{fields}".encode()))
os.write(1, b"end\n")
while True:
    time.sleep(3600)
