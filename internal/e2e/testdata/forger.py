# A process of a local user that claims to be the worker of an app, systemd or journald. Its children exit before journald can
# look them up.
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
journal.send(f"MESSAGE=FORGED from one that lives\n{claims}".encode())
journal.send(f"MESSAGE=Suppressed 4711 messages from {app}@1.service\n{claims}{dropped}".encode())
