"""An unchanged Optuna client: trials of 20 writes over the proxy. Usage: proxy_client.py PORT TRIALS

Prints "ready", waits for a line on stdin so that all clients begin together, and prints "done"."""

import sys

from optuna.storages import GrpcStorageProxy
from twenty import begin_together, writer

storage = GrpcStorageProxy(host="127.0.0.1", port=int(sys.argv[1]))
storage.wait_server_ready(60)
trial = writer(storage, "bench")
begin_together(trial)
for _ in range(int(sys.argv[2])):
    trial()
print("done", flush=True)
sys.stdin.readline()
