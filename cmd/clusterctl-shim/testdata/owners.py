# Processes of several users bind one address: owners.py PORT INODE STEP...
#
# Each step prints the result of its bind: "shared" (the socket with that inode), "own" (another socket) or the error.
#   bind         the main process binds and listens
#   drop         the main process becomes user 65534
#   child:UID    a child binds after it has become user UID (-: without a change)
#   user, mount, net   a child binds in a new namespace of that kind
#   serve        a child becomes user 65534, listens on the socket of the main process and answers
import ctypes, errno, os, socket, sys

port, inode = int(sys.argv[1]), int(sys.argv[2])
namespaces = {"mount": 0x20000, "user": 0x10000000, "net": 0x40000000}

def bind():
    s = socket.socket()
    try:
        s.bind(("0.0.0.0", port))
        s.listen()
    except OSError as e:
        return None, errno.errorcode[e.errno]
    return s, "shared" if os.fstat(s.fileno()).st_ino == inode else "own"

def say(step, what):
    print(step, what, flush=True)

def child(step):
    if step in namespaces:
        if ctypes.CDLL(None, use_errno=True).unshare(namespaces[step]):
            return say(step, "unshare " + errno.errorcode[ctypes.get_errno()])
    elif step != "child:-":
        os.setgroups([])
        os.setuid(int(step.partition(":")[2]))
    say(step, bind()[1])

def serve(s):
    os.setuid(65534)
    s.listen()
    say("serve", "ready")
    while True:
        c, _ = s.accept()
        c.recv(4096)
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n%d" % (os.getuid() // 10))
        c.close()

main = None
for step in sys.argv[3:]:
    if step == "bind":
        main, what = bind()
        say(step, what)
    elif step == "drop":
        os.setuid(65534)
    elif (pid := os.fork()) == 0:
        serve(main) if step == "serve" else child(step)
        os._exit(0)
    elif step != "serve":
        os.waitpid(pid, 0)
print("end", flush=True)
if "serve" in sys.argv:
    os.wait()
