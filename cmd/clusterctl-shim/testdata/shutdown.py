# Shuts its listener down, as many servers do when they stop: shutdown.py PORT WAY
# WAY is how another thread waits for connections at this time: accept, poll, select, epoll, or none. udp: a datagram socket.
import errno, select, socket, sys, threading, time

port, way = int(sys.argv[1]), sys.argv[2]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if way == "udp" else socket.SOCK_STREAM)
s.bind(("0.0.0.0", port))
if way == "udp":
    for how in socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR:
        try:
            s.shutdown(how)
        except OSError as e:
            print(errno.errorcode[e.errno], flush=True)
    sys.exit()
s.listen()

def wait():
    try:
        if way == "accept":
            s.accept()
        elif way == "poll":
            p = select.poll()
            p.register(s, select.POLLIN)
            p.poll()
            s.accept()
        elif way == "select":
            select.select([s], [], [])
            s.accept()
    except OSError as e:
        print(way, errno.errorcode[e.errno], flush=True)

t = threading.Thread(target=wait)
if way != "none":
    t.start()
    # Wait until the thread sleeps in the kernel.
    while open("/proc/self/task/%d/syscall" % t.native_id).read().startswith("running"):
        time.sleep(0.01)
    time.sleep(0.1)
s.shutdown(socket.SHUT_RDWR)
if way != "none":
    t.join()
s.close()
print("closed", flush=True)
