"""Makes a database with the Optuna that is installed and prints it as SQL. Usage: make.py > optuna-VERSION.sql

Run with TZ=Asia/Tokyo: up to 4.9 the times of trials are local, since 5.0 they are UTC.
"""

import os
import sqlite3
import tempfile

import optuna
from optuna.distributions import FloatDistribution, IntDistribution

optuna.logging.set_verbosity(optuna.logging.ERROR)


def objective(trial: optuna.Trial) -> float:
    lr = trial.suggest_float("lr", 1e-5, 0.1, log=True)
    layers = trial.suggest_int("layers", 1, 9, step=2)
    trial.suggest_categorical("act", ["relu", None, 3, 0.5, True])
    trial.set_user_attr("note", "café")
    for step in range(3):
        trial.report(float("nan") if step == 1 else lr * step, step)
    if trial.number == 1:
        raise optuna.TrialPruned
    if trial.number == 2:
        return float("nan")
    return float("inf") if trial.number == 3 else lr + layers


def main() -> None:
    with tempfile.TemporaryDirectory() as here:
        path = os.path.join(here, "old.db")
        url = f"sqlite:///{path}"
        study = optuna.create_study(
            study_name="old", storage=url, direction="maximize",
            sampler=optuna.samplers.RandomSampler(seed=1), pruner=optuna.pruners.NopPruner(),
        )
        study.set_user_attr("who", optuna.__version__)
        study.optimize(objective, n_trials=5)
        study.enqueue_trial({"lr": 0.001, "layers": 3, "act": None})
        study.ask({"lr": FloatDistribution(1e-5, 0.1, log=True)})  # takes the queued one, and runs
        study.enqueue_trial({"lr": 0.01})
        both = optuna.create_study(
            study_name="both", storage=url, directions=["minimize", "maximize"],
            sampler=optuna.samplers.RandomSampler(seed=1),
        )
        both.optimize(
            lambda t: (t.suggest_float("x", 0, 1), t.suggest_int("k", 1, 64, log=True)), n_trials=2
        )
        both.add_trial(
            optuna.trial.create_trial(
                values=[0.5, 2],
                params={"x": 0.5, "k": 2},
                distributions={"x": FloatDistribution(0, 1), "k": IntDistribution(1, 64, log=True)},
            )
        )
        for line in sqlite3.connect(path).iterdump():
            print(line)


main()
