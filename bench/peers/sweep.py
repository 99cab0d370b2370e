"""The sweep as users write it with Optuna: study.optimize in a parent, SQLite, a fresh process a trial.

    sweep.py none DATABASE TRIALS JOBS COMMAND ...          COMMAND prints loss=NUMBER
    sweep.py xgboost DATABASE TRIALS JOBS COMMAND ...       COMMAND NAME=VALUE ... prints auc=NUMBER

Prints the wall time and the parent's CPU of one trial in ms, without imports and start-up.
"""

import subprocess
import sys
import time

import optuna


def run(command: list[str]) -> float:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split("=")[1])


def eight_floats(command: list[str], trial: optuna.Trial) -> float:
    for i in range(8):
        trial.suggest_float(f"x{i}", 0.0, 1.0)
    return run(command)


def xgboost(command: list[str], trial: optuna.Trial) -> float:
    settings = {
        "eta": trial.suggest_float("eta", 0.05, 0.3, log=True),
        "lambda": trial.suggest_float("lambda", 0.1, 10.0, log=True),
        "subsample": trial.suggest_float("subsample", 0.5, 1.0),
    }
    return run(command + [f"{name}={value}" for name, value in settings.items()])


def main() -> None:
    kind, database, trials, jobs, *command = sys.argv[1:]
    objective = {"none": eight_floats, "xgboost": xgboost}[kind]
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(storage=f"sqlite:///{database}", direction="minimize")
    wall, cpu = time.perf_counter(), time.process_time()
    study.optimize(lambda trial: objective(command, trial), n_trials=int(trials), n_jobs=int(jobs))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(wall / int(trials) * 1e3, cpu / int(trials) * 1e3)


main()
