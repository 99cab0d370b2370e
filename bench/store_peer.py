"""CPU microseconds that Optuna's RDBStorage spends on one trial: 8 parameters, 10 reports, the end.

The calls are those that study.optimize makes, without a sampler. Usage: store_peer.py FILE
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


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = RDBStorage(f"sqlite:///{sys.argv[1]}")
    study = storage.create_new_study([StudyDirection.MINIMIZE], "bench")
    for _ in range(WARM_UP):
        run(storage, study)
    start = time.process_time()
    for _ in range(TRIALS):
        run(storage, study)
    print((time.process_time() - start) / TRIALS * 1e6)


main()
