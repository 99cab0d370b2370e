"""Optuna's RDBStorage on a PostgreSQL server: many processes that store trials of 20 writes.

postgres.py URL PROCESSES SECONDS      prints trials per second, of all of them together
"""

import subprocess
import sys
import time
import warnings

WORKER = "--worker"


def work(url: str, seconds: float) -> int:
    from optuna.distributions import FloatDistribution
    from optuna.storages import RDBStorage
    from optuna.study import StudyDirection
    from optuna.trial import TrialState

    warnings.simplefilter("ignore")
    storage = RDBStorage(url.replace("postgresql:", "postgresql+psycopg2:"))
    try:
        study = storage.create_new_study([StudyDirection.MINIMIZE], "optuna")
    except Exception:
        study = storage.get_study_id_from_name("optuna")
    space = FloatDistribution(0, 1)

    def trial() -> None:
        number = storage.create_new_trial(study)
        for i in range(8):
            storage.set_trial_param(number, f"p{i}", 0.5, space)
        for step in range(10):
            storage.set_trial_intermediate_value(number, step, 1 / (1 + step))
        storage.set_trial_state_values(number, TrialState.COMPLETE, [0.5])

    trial()
    print("ready", flush=True)
    sys.stdin.readline()
    n, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        trial()
        n += 1
    return n


def main() -> None:
    url, seconds = sys.argv[-3], float(sys.argv[-1])
    if sys.argv[1] == WORKER:
        print(work(url, seconds), flush=True)
        return
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, __file__, WORKER, *sys.argv[1:]]
    workers = []
    for _ in range(int(sys.argv[2])):
        workers.append(subprocess.Popen(command, **pipes))
        assert workers[-1].stdout.readline() == "ready\n"
    for w in workers:
        w.stdin.write("go\n")
        w.stdin.flush()
    print(sum(int(w.stdout.readline()) for w in workers) / seconds)
    for w in workers:
        w.communicate()


main()
