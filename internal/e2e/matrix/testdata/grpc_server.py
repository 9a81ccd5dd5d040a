"""This is a server with Python's gRPC, without generated code. It stops as the manual of gRPC recommends. gRPC then calls
shutdown(2) on the listener."""
import os
import signal
from concurrent import futures

import grpc


class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: request + b" by %d" % os.getpid())


server = grpc.server(futures.ThreadPoolExecutor(4))
server.add_generic_rpc_handlers((Echo(),))
server.add_insecure_port("0.0.0.0:" + os.environ["PORT"])
server.start()
signal.signal(signal.SIGTERM, lambda *_: server.stop(5))
server.wait_for_termination()
