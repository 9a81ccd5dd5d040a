"""grpc_client.py HOST:PORT CALLS sends CALLS requests, each on a new connection. It does not retry a failed connection."""
import sys

import grpc

for i in range(int(sys.argv[2])):
    with grpc.insecure_channel(sys.argv[1], options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        call = channel.unary_unary("/test.Echo/Say")
        print(call(b"hello", timeout=30).decode())
