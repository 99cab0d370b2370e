"""An unchanged Optuna client: trials of 20 writes over the proxy. Usage: proxy_client.py PORT TRIALS

Prints "ready", waits for a line on stdin so that all clients begin together, and prints "done"."""

import sys
import warnings

from optuna.distributions import FloatDistribution
from optuna.storages import GrpcStorageProxy
from optuna.study import StudyDirection
from optuna.trial import TrialState

warnings.simplefilter("ignore")
storage = GrpcStorageProxy(host="127.0.0.1", port=int(sys.argv[1]))
storage.wait_server_ready(60)
try:
    study = storage.create_new_study([StudyDirection.MINIMIZE], "bench")
except Exception:
    study = storage.get_study_id_from_name("bench")
space = FloatDistribution(0, 1)


def trial():
    number = storage.create_new_trial(study)
    for i in range(8):
        storage.set_trial_param(number, f"p{i}", 0.5, space)
    for step in range(10):
        storage.set_trial_intermediate_value(number, step, 1 / (1 + step))
    storage.set_trial_state_values(number, TrialState.COMPLETE, [0.5])


trial()
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    trial()
print("done", flush=True)
sys.stdin.readline()
