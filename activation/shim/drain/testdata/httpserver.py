# The server of the standard library on the inherited listener. With MODE=asyncio,
# an asyncio server that keeps connections alive.
import asyncio, os, socket, time
from http.server import BaseHTTPRequestHandler, HTTPServer

listener = socket.socket(fileno=3)


def ready():
    open(os.environ["READY"], "w").close()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/slow":
            time.sleep(2)
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"hello\n")

    def log_message(self, *args):
        pass


async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET /slow"):
                await asyncio.sleep(2)
            writer.write(b"HTTP/1.1 200 OK\r\ndate: Mon, 23 Nov 2026 16:03:35 GMT\r\nContent-Length: 6\r\n\r\nhello\n")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    listener.setblocking(False)
    async with await asyncio.start_server(serve, sock=listener) as server:
        ready()
        await server.serve_forever()


if os.environ.get("MODE") == "asyncio":
    asyncio.run(main())
else:
    ready()
    server = HTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
    server.socket = listener
    server.serve_forever()
