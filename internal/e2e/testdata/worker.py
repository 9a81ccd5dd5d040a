#!/usr/bin/python3
"""This native worker uses the inherited listener, file descriptor 3, and sends READY=1."""

import asyncio
import os
import signal
import socket


async def answer(reader, writer):
    try:
        while (line := await reader.readline()).strip():
            pass  # the connection has one request, without a body
        writer.write(b"HTTP/1.1 200 OK\r\nX-Worker: %d\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n" % os.getpid())
        await writer.drain()
    finally:
        writer.close()


def ready():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        path = os.environ["NOTIFY_SOCKET"]
        s.connect("\0" + path[1:] if path[0] == "@" else path)
        s.send(b"READY=1")


async def main():
    listener = socket.socket(fileno=3)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = await asyncio.start_server(answer, sock=listener)
    print("listening", flush=True)
    ready()
    await stop.wait()
    server.close()


asyncio.run(main())
