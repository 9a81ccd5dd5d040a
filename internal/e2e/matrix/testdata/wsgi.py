import os
import time
import urllib.parse


def app(environ, start_response):
    query = dict(urllib.parse.parse_qsl(environ["QUERY_STRING"]))
    time.sleep(int(query.get("ms", 0)) / 1000)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"hello from {environ['PATH_INFO']} by {os.getpid()}\n".encode()]
