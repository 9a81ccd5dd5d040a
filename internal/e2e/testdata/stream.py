# stream.py PORT [deaf] is a server that sends an endless event stream on each connection. With "deaf", it ignores SIGTERM.
import asyncio, signal, sys

async def serve(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    while True:
        writer.write(b"data: tick\n\n")
        await writer.drain()
        await asyncio.sleep(0.2)

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()

if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
asyncio.run(main())
