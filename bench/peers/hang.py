#!/usr/bin/env python3
"""hang.py optuna|ray PATIENCE VICTIM …: what a tuner does about a trial whose process hangs.

The trial runs VICTIM, which says "ready" and hangs. Prints two numbers: the seconds after which the tuner gave the
trial up while its process lived (-1: not within PATIENCE seconds), and those after the process was killed with
SIGKILL from outside, as somebody who was paged would do (-1: not within 120). Needs a directory of its own."""
import os
import signal
import subprocess
import sys
import threading
import time

KILLED_PATIENCE = 120
RESULT = os.fdopen(os.dup(1), "w")  # tuners talk on stdout
os.dup2(2, 1)


def hang(directory, victim):
    """A trial's body: tells the process ids, its own and the victim's, once VICTIM hangs."""
    with subprocess.Popen(
        victim, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        process.stdout.readline()
        with open(os.path.join(directory, "pids.new"), "w") as f:
            f.write(f"{os.getpid()} {process.pid}")
        os.rename(os.path.join(directory, "pids.new"), os.path.join(directory, "pids"))
        process.wait()
    return 0.5


def hung_process(patience=120):
    end = time.monotonic() + patience
    while not os.path.exists("pids"):
        if time.monotonic() > end:
            sys.exit("the trial did not start")
        time.sleep(0.05)
    with open("pids") as f:
        return map(int, f.read().split())


def seconds_until(given_up, patience):
    begin = time.monotonic()
    while time.monotonic() - begin < patience:
        if given_up():
            return time.monotonic() - begin
        time.sleep(0.1)
    return -1


def measure(given_up, patience):
    pid, victim = hung_process()
    alive = seconds_until(given_up, patience)
    os.kill(pid, signal.SIGKILL)
    print(f"{alive:.1f} {seconds_until(given_up, KILLED_PATIENCE) if alive < 0 else 0:.1f}", file=RESULT, flush=True)
    os.killpg(victim, signal.SIGKILL)


def open_study():
    """Heartbeats as short as they can be: by default there are none, and the usual advice is 60 s."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = optuna.storages.RDBStorage("sqlite:///hang.db", heartbeat_interval=1, grace_period=2)
    return optuna.create_study(storage=storage, study_name="hang", load_if_exists=True)


def optuna_worker(victim):
    open_study().optimize(lambda trial: hang(".", victim), n_trials=1)


def run_optuna(patience, victim):
    import optuna

    study = open_study()
    worker = subprocess.Popen([sys.executable, __file__, "optuna-worker", "0", *victim])

    def given_up():
        """As each process of the study does before its next trial."""
        optuna.storages.fail_stale_trials(study)
        return study.get_trials(deepcopy=False)[0].state.is_finished()

    measure(given_up, patience)
    worker.wait()


def run_ray(patience, victim):
    import ray
    from ray import tune

    here = os.getcwd()
    ray.init(num_cpus=1, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    tuner = tune.Tuner(
        lambda config: {"loss": hang(here, victim)},
        tune_config=tune.TuneConfig(num_samples=1, metric="loss", mode="min"),
        run_config=tune.RunConfig(storage_path=here, verbose=0),
    )
    fit = threading.Thread(target=tuner.fit, daemon=True)
    fit.start()
    measure(lambda: not fit.is_alive(), patience)
    ray.shutdown()


def main():
    peer, patience, *victim = sys.argv[1:]
    if peer == "optuna-worker":
        optuna_worker(victim)
    else:
        {"optuna": run_optuna, "ray": run_ray}[peer](float(patience), victim)


main()
