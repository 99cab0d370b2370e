"""CPU microseconds that Optuna's RDBStorage spends.

store_peer.py trial FILE    on one trial: 8 parameters, 10 reports, the end. The calls are those that
                            study.optimize makes, without a sampler
store_peer.py open FILE     on opening the study `bench` and reading all its trials
"""

import sys
import time

import optuna
from optuna.distributions import FloatDistribution
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

TRIALS = 60
WARM_UP = 10


def run(storage: RDBStorage, study: int) -> None:
    trial = storage.create_new_trial(study)
    for i in range(8):
        storage.set_trial_param(trial, f"p{i}", 0.1 * i, FloatDistribution(0.0, 1.0))
    for step in range(10):
        storage.set_trial_intermediate_value(trial, step, 1.0 / (1 + step))
    storage.set_trial_state_values(trial, TrialState.COMPLETE, [0.5])


def trial(path: str) -> float:
    storage = RDBStorage(f"sqlite:///{path}")
    study = storage.create_new_study([StudyDirection.MINIMIZE], "bench")
    for _ in range(WARM_UP):
        run(storage, study)
    start = time.process_time()
    for _ in range(TRIALS):
        run(storage, study)
    return (time.process_time() - start) / TRIALS


def read(path: str) -> float:
    start = time.process_time()
    trials = optuna.load_study(study_name="bench", storage=f"sqlite:///{path}").trials
    assert len(trials) == 50000 and len(trials[-1].intermediate_values) == 10
    return time.process_time() - start


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print({"trial": trial, "open": read}[sys.argv[1]](sys.argv[2]) * 1e6)


main()
