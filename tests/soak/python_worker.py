"""An Optuna process of the soak, until it is killed.

python_worker.py NAME STUDY rdb URL | grpc PORT
"""

import os
import random
import sys
import time

import optuna
from optuna.storages import GrpcStorageProxy, RDBStorage, RetryHeartbeatStaleTrialCallback

NAME, STUDY, KIND, WHERE = sys.argv[1:5]


def note(number: int, what: str) -> None:
    fd = os.open("claims", os.O_WRONLY | os.O_APPEND)
    os.write(fd, f"{number} {NAME} {what}\n".encode())
    os.close(fd)


def objective(trial: optuna.Trial) -> float:
    note(trial.number, "start")
    x = trial.suggest_float("x", 0, 1)
    k = trial.suggest_int("k", 1, 64, log=True)
    trial.set_user_attr("by", NAME)
    for step in range(3):
        trial.report(x / (step + 1), step)
        time.sleep(random.uniform(0.005, 0.03))
    note(trial.number, "end")
    return x * k


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if KIND == "grpc":
        storage = GrpcStorageProxy(host="127.0.0.1", port=int(WHERE))
    else:
        storage = RDBStorage(
            WHERE,
            heartbeat_interval=5,
            grace_period=60,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=3),
        )
    study = optuna.load_study(
        study_name=STUDY, storage=storage, sampler=optuna.samplers.RandomSampler()
    )
    study.optimize(objective)


main()
