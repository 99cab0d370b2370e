#!/usr/bin/env python3
"""grpc_pool.py MARKER: threads busy in gRPC, then a pool made by fork: it hangs with GRPC_ENABLE_FORK_SUPPORT=1.

Where MARKER is a directory already, this is the second try: it only says a result. "server" runs the
server instead."""
import os
import subprocess
import sys
import threading
import time
from concurrent import futures

CALL = "/bench.Echo/Echo"


def serve():
    import grpc

    class Echo(grpc.GenericRpcHandler):
        def service(self, details):
            return grpc.unary_unary_rpc_method_handler(lambda request, context: request)

    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Echo()])
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()


def call_for_ever(address):
    import grpc

    call = grpc.insecure_channel(address).unary_unary(CALL)
    while True:
        try:
            call(b"x", timeout=30)
        except grpc.RpcError:
            time.sleep(0.01)


def hang():
    server = subprocess.Popen([sys.executable, __file__, "server"], stdout=subprocess.PIPE)
    address = "127.0.0.1:" + server.stdout.readline().decode().strip()
    for _ in range(4):
        threading.Thread(target=call_for_ever, args=(address,), daemon=True).start()
    time.sleep(1)
    import multiprocessing

    with multiprocessing.get_context("fork").Pool(8) as pool:
        pool.map(len, ["a"] * 64)
    server.kill()


if sys.argv[1] == "server":
    serve()
else:
    try:
        os.mkdir(sys.argv[1])
        hang()
    except FileExistsError:
        pass
    print("loss=0.5", flush=True)
    os._exit(0)  # threads that are inside gRPC would be waited for
