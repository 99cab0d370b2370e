"""What the peers of a store's benchmark do alike: trials of 20 writes."""

import sys
import warnings
from collections.abc import Callable

from optuna.distributions import FloatDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

warnings.simplefilter("ignore")


def writer(storage: BaseStorage, name: str) -> Callable[[], None]:
    """Creates the study, or finds another process's, and returns what stores a trial in it."""
    try:
        study = storage.create_new_study([StudyDirection.MINIMIZE], name)
    except Exception:
        study = storage.get_study_id_from_name(name)
    space = FloatDistribution(0, 1)

    def trial() -> None:
        number = storage.create_new_trial(study)
        for i in range(8):
            storage.set_trial_param(number, f"p{i}", 0.5, space)
        for step in range(10):
            storage.set_trial_intermediate_value(number, step, 1 / (1 + step))
        storage.set_trial_state_values(number, TrialState.COMPLETE, [0.5])

    return trial


def begin_together(trial: Callable[[], None]) -> None:
    """Stores one, prints "ready" and waits for a line on stdin."""
    trial()
    print("ready", flush=True)
    sys.stdin.readline()
