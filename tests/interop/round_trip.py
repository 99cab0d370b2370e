"""Real Optuna and the store on the same studies. Usage: round_trip.py STORE_TOOL"""

import json
import math
import subprocess
import sys
import warnings
from datetime import datetime, timezone

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from databases import url

TOOL = sys.argv[1]
LR = FloatDistribution(1e-5, 0.1, log=True)
LAYERS = IntDistribution(1, 9, step=2)
ACT = CategoricalDistribution(["relu", None, 3, 0.5, True])


def tool(name: str, *args: str) -> list:
    done = subprocess.run([TOOL, url(name), *args], check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def utc_us(moment: datetime | None) -> int:
    """Optuna gives naive local time."""
    if moment is None:
        return 0
    return round(moment.astimezone(timezone.utc).timestamp() * 1e6)


def optuna_reads_what_we_write() -> None:
    tool("ours", "make", "s")
    study = optuna.load_study(study_name="s", storage=url("ours"))
    assert study.user_attrs == {"who": "forkless"}
    trials = study.trials
    assert [t.state.name for t in trials] == [
        "COMPLETE", "COMPLETE", "COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING",
    ]
    assert [t.number for t in trials] == list(range(7))
    full = trials[0]
    assert full.value == 0.1 + 0.2
    assert full.params == {"lr": 0.001, "layers": 5, "act": None}
    assert full.distributions == {"lr": LR, "layers": LAYERS, "act": ACT}
    steps = full.intermediate_values
    assert list(steps) == [0, 1, 2, 3] and steps[0] == 1.5
    assert steps[1] == math.inf and steps[2] == -math.inf and math.isnan(steps[3])
    assert full.user_attrs["note"] == "café 🍵"
    assert full.user_attrs["list"][1] == 2.0 and math.isnan(full.user_attrs["list"][2])
    assert full.system_attrs == {"completed_rung_0": 0.25}
    assert utc_us(full.datetime_start) == 1767225600123456
    assert trials[1].value == math.inf and trials[2].value == -math.inf
    assert study.best_trial.number == 2
    for trial in trials:
        trial._validate()
    frame = study.trials_dataframe()
    assert len(frame) == 7 and frame.loc[0, "params_layers"] == 5


def optuna_continues_our_study() -> None:
    study = optuna.load_study(study_name="s", storage=url("ours"))

    def objective(trial: optuna.Trial) -> float:
        lr = trial.suggest_float("lr", 1e-5, 0.1, log=True)
        layers = trial.suggest_int("layers", 1, 9, step=2)
        trial.suggest_categorical("act", ["relu", None, 3, 0.5, True])
        trial.report(lr, 0)
        return lr * layers

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no value out of range, no inconsistent kind
        study.optimize(objective, n_trials=12)
    assert study.trials[6].state == TrialState.COMPLETE  # our WAITING trial was popped first
    assert study.trials[6].params == {"lr": 0.001, "layers": 5, "act": None}
    assert len(study.trials) == 7 + 11


def we_read_what_optuna_writes() -> None:
    study = optuna.create_study(study_name="t", storage=url("theirs"), direction="minimize")

    def objective(trial: optuna.Trial) -> float:
        value = trial.suggest_float("lr", 1e-5, 0.1, log=True)
        trial.suggest_float("coarse", 0, 1, step=0.1)
        trial.suggest_int("layers", 1, 9, step=2)
        trial.suggest_categorical("act", ["relu", None, 3, 0.5, True, math.nan])
        trial.suggest_int("huge", -(2**62), 2**62, step=2)  # these two are beyond our samplers
        trial.suggest_categorical("lists", [[1, [2.5, None]], {"a": "é"}])
        for step, report in enumerate([value, math.inf, -math.inf, math.nan]):
            trial.report(report, step)
        trial.set_user_attr("mixed", {"é": [1, 1.0, None, math.nan]})
        if trial.number == 3:
            raise optuna.TrialPruned()
        return math.inf if trial.number == 4 else value

    study.optimize(objective, n_trials=15)
    study.enqueue_trial({"lr": 0.002, "layers": 3})
    study.ask()
    dumped = tool("theirs", "dump", "t")
    trials = study.trials
    assert len(dumped) == len(trials) == 16
    for ours, theirs in zip(dumped, trials):
        assert ours["number"] == theirs.number and ours["state"] == theirs.state.name
        assert ours["values"] == (theirs.values or [])
        assert list(ours["params"]) == list(theirs.params)
        for name, (value, distribution) in ours["params"].items():
            assert type(value) is type(theirs.params[name])
            assert same(value, theirs.params[name]) if type(value) is float else value == theirs.params[name]
            text = optuna.distributions.distribution_to_json(theirs.distributions[name])
            assert json.dumps(distribution) == text
        assert len(ours["steps"]) == len(theirs.intermediate_values)
        for step, value in ours["steps"].items():
            assert same(value, theirs.intermediate_values[int(step)])
        assert repr(ours["user_attrs"]) == repr(theirs.user_attrs)
        assert repr(ours["system_attrs"]) == repr(theirs.system_attrs)
        assert ours["start_us"] == utc_us(theirs.datetime_start)
        assert ours["complete_us"] == utc_us(theirs.datetime_complete)


def we_claim_what_optuna_enqueues() -> None:
    study = optuna.create_study(study_name="q", storage=url("queue"))
    study.enqueue_trial({"lr": 0.002, "layers": 3}, user_attrs={"from": "python"})
    assert tool("queue", "claim", "q") == [{"kind": 1, "number": 0, "fixed": {"lr": 0.002, "layers": 3}}]
    assert tool("queue", "claim", "q") == [{"kind": 0, "number": 1, "fixed": None}]
    trials = study.trials
    assert [t.state for t in trials] == [TrialState.COMPLETE] * 2 and trials[0].value == 2
    assert trials[0].user_attrs == {"from": "python"}
    assert trials[1].system_attrs == {"forkless:owner": "boot/1/2/3"}


def both_run_at_the_same_time() -> None:
    study = optuna.create_study(study_name="both", storage=url("both"))
    ours = subprocess.Popen([TOOL, url("both"), "claim-all", "both", "60"], stdout=subprocess.PIPE, text=True)
    study.optimize(lambda trial: trial.suggest_float("lr", 1e-5, 0.1, log=True), n_trials=10)
    out, _ = ours.communicate()
    assert ours.returncode == 0
    trials = study.trials
    assert sorted(t.number for t in trials) == list(range(len(trials)))
    assert len(out.split()) + 10 == len(trials) and len(trials) >= 60
    assert all(t.state == TrialState.COMPLETE for t in trials)


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for check in (
        optuna_reads_what_we_write,
        optuna_continues_our_study,
        we_read_what_optuna_writes,
        we_claim_what_optuna_enqueues,
        both_run_at_the_same_time,
    ):
        check()
        print(f"ok {check.__name__}", flush=True)


main()
