"""Optuna's own storage proxy, as its documentation starts it. Usage: proxy_server.py URL PORT"""

import sys
import warnings

from optuna.storages import get_storage, run_grpc_proxy_server

warnings.simplefilter("ignore")
run_grpc_proxy_server(get_storage(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]))
