import asyncio
import os

from aiohttp import web


async def hello(request):
    await asyncio.sleep(int(request.query.get("ms", 0)) / 1000)
    return web.Response(text=f"hello from {request.path} by {os.getpid()}\n")


app = web.Application()
app.add_routes([web.get("/{path:.*}", hello)])
web.run_app(app, port=int(os.environ["PORT"]))
