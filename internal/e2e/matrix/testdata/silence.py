"""This server calls shutdown(2) on its listener when it stops, as Twisted, gRPC and cpp-httplib do. The variable MODE is
the way in which it waits for connections: accept, poll (http.server), epoll (asyncio) or native (asyncio, on the listener
of systemd)."""
import asyncio
import http.server
import os
import signal
import socket
import threading

MODE = os.environ["MODE"]


def answer(request):
    body = "hello from %s by %d\n" % (request.split()[1].decode(), os.getpid())
    return ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)).encode()


def serve_one(conn):
    with conn:
        request = b""
        while b"\r\n\r\n" not in request:
            part = conn.recv(4096)
            if not part:
                return
            request += part
        conn.sendall(answer(request))


def blocking():
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("", int(os.environ["PORT"])))
    s.listen()

    def accept():
        while True:
            try:
                conn, _ = s.accept()
            except OSError as e:
                print("accept:", e, flush=True)
                return
            serve_one(conn)

    t = threading.Thread(target=accept)
    t.start()
    signal.sigwait({signal.SIGTERM})
    s.shutdown(socket.SHUT_RDWR)
    t.join()
    s.close()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.wfile.write(answer(self.requestline.encode()))

    def log_message(self, *args):
        pass


def polling():
    server = http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler)
    server.daemon_threads = False
    t = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": None})
    t.start()
    signal.sigwait({signal.SIGTERM})
    server._BaseServer__shutdown_request = True
    server.socket.shutdown(socket.SHUT_RDWR)  # makes serve_forever return
    t.join()
    server.server_close()


async def serve(sock):
    busy = set()

    async def client(reader, writer):
        busy.add(asyncio.current_task())
        try:
            writer.write(answer(await reader.readuntil(b"\r\n\r\n")))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            busy.discard(asyncio.current_task())

    if sock:
        server = await asyncio.start_server(client, sock=sock)
    else:
        server = await asyncio.start_server(client, "0.0.0.0", int(os.environ["PORT"]))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    for s in server.sockets:
        asyncio.get_running_loop().remove_reader(s.fileno())
        s.shutdown(socket.SHUT_RDWR)
    server.close()
    if busy:
        await asyncio.wait(busy)


if MODE in ("accept", "poll"):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    blocking() if MODE == "accept" else polling()
else:
    asyncio.run(serve(socket.socket(fileno=3) if MODE == "native" else None))
