#!/usr/bin/env python3
"""A background worker without a socket. It logs a line each second until SIGTERM."""
import os
import signal
import sys
import threading

stop = threading.Event()


def on_signal(number, _frame):
    stop.set()


def main():
    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    name = os.environ.get("INSTANCE", "pid %d" % os.getpid())
    count = 0
    # Without flush, Python buffers output that does not go to a terminal, and the lines
    # reach the journal with a delay.
    print("%s: started" % name, flush=True)
    while not stop.wait(1):
        count += 1
        print("%s: tick %d" % (name, count), flush=True)
    print("%s: stopping after %d ticks" % (name, count), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
