# This program sends forged lines to the journal: lines of a worker, of systemd and of journald. Its child processes exit
# before journald can read their cgroup.
import os
import socket
import sys

journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.connect("/run/systemd/journal/socket")
app = sys.argv[1]
claims = (
    f"CLUSTERCTL_APP={app}\nCLUSTERCTL_INSTANCE=1\nCLUSTERCTL_SENDER=worker\nUNIT={app}@1.service\nPRIORITY=6\n"
    f"OBJECT_SYSTEMD_UNIT={app}@1.service\n_TRANSPORT=driver\n_PID=1\n_UID=0\n_SYSTEMD_UNIT={app}@1.service\n"
)
dropped = "MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e\nN_DROPPED=4711\n"
for i in range(200):
    if os.fork() == 0:
        journal.send(f"MESSAGE=FORGED {i}\n{claims}".encode())
        os._exit(0)
    os.wait()
journal.send(f"MESSAGE=FORGED from a running process\n{claims}".encode())
journal.send(f"MESSAGE=Suppressed 4711 messages from {app}@1.service\n{claims}{dropped}".encode())
