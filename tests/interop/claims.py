"""Four Optuna processes and forkless claim 100 queued trials of one SQLite study: each trial once.

On SQLite Optuna's own processes claim some trials twice (it looks at the state in one transaction
and changes it in another); the store's trigger lets the first one win. Usage: claims.py FORKLESS
"""

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections import Counter

import optuna
from optuna.trial import TrialState

FORKLESS = sys.argv[1]
QUEUED = 100
PYTHONS = 4


def work(url: str, ready, start, claims) -> None:
    """Claims and finishes queued trials until there are none, as Study.ask does it."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.load_study(study_name="s", storage=url)
    ready.release()
    start.wait()
    mine = []
    while (trial_id := study._pop_waiting_trial_id()) is not None:
        trial = optuna.trial.Trial(study, trial_id)
        mine.append(trial.number)
        study.tell(trial, 1.0)
    claims.put(mine)


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="forkless-claims-") as here:
        os.chdir(here)
        url = f"sqlite:///{here}/s.db"
        # the file is Optuna's: forkless finds it with a rollback journal, and leaves it so
        study = optuna.create_study(study_name="s", storage=url)
        for i in range(QUEUED):
            study.enqueue_trial({"x": i / QUEUED})
        # opening it for writing brings the trigger
        subprocess.run([FORKLESS, "db", "upgrade", url], check=True, capture_output=True)
        context = multiprocessing.get_context("spawn")
        ready, start, claims = context.Semaphore(0), context.Event(), context.Queue()
        pythons = [
            context.Process(target=work, args=(url, ready, start, claims)) for _ in range(PYTHONS)
        ]
        for process in pythons:
            process.start()
        for _ in pythons:
            assert ready.acquire(timeout=120)
        sweep = subprocess.Popen(
            [
                FORKLESS,
                "run",
                "--storage",
                url,
                "--dir",
                "runs",
                "--study",
                "s",
                "--metric",
                "loss",
                "-n",
                str(QUEUED),
                "-j2",
                "--json",
                "x=float:0..1",
                "--",
                "/bin/sh",
                "-c",
                "echo $FORKLESS_TRIAL >> log; sleep 0.1; echo loss=1",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        start.set()
        by_python = [number for _ in pythons for number in claims.get(timeout=120)]
        for process in pythons:
            process.join()
            assert process.exitcode == 0
        out, err = sweep.communicate(timeout=120)
        result = json.loads(out.splitlines()[-1])
        assert sweep.returncode == 0, (out, err)
        try:
            with open("log", encoding="utf-8") as f:
                by_forkless = [int(line) for line in f]
        except FileNotFoundError:
            by_forkless = []
        twice = {n: c for n, c in Counter(by_python + by_forkless).items() if c > 1}
        assert not twice, f"claimed more than once: {twice}"
        assert len(by_python) + len(by_forkless) == QUEUED == result["done"]
        states = Counter(t.state for t in study.get_trials(deepcopy=False))
        assert states == {TrialState.COMPLETE: QUEUED}, states
        assert by_python and by_forkless, "there was no race"
        print(f"{len(by_python)} by {PYTHONS} Optuna processes, {len(by_forkless)} by forkless")


if __name__ == "__main__":
    main()
