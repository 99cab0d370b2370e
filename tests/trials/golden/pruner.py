"""Writes pruner.txt: what Optuna's pruners say over random histories. Run with Optuna 5.

study <median|asha> <minimize|maximize> <startup> <warmup> <interval> <min resource> <factor> <rate>
report <trial> <step> <value> <prune: 0 or 1> <rungs completed so far>
end <trial> <state>
"""
import os
import random
import warnings

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.simplefilter("ignore")
rnd = random.Random(3)
lines = []


def pruner(kind):
    if kind == "median":
        args = rnd.choice([0, 1, 5]), rnd.choice([0, 0, 3]), rnd.choice([1, 1, 2, 4])
        lines.append(f"study median {{}} {args[0]} {args[1]} {args[2]} 1 4 0")
        return optuna.pruners.MedianPruner(*args)
    args = rnd.choice([1, 2, 5]), rnd.choice([2, 3, 4]), rnd.choice([0, 0, 1])
    lines.append(f"study asha {{}} 5 0 1 {args[0]} {args[1]} {args[2]}")
    return optuna.pruners.SuccessiveHalvingPruner(*args)


def rungs(trial):
    return sum(k.startswith("completed_rung_") for k in trial._get_latest_trial().system_attrs)


def number():
    kind = rnd.random()
    return float("nan") if kind < 0.04 else round(rnd.random(), 1) if kind < 0.4 else rnd.random()


for case in range(16):
    direction = rnd.choice(["minimize", "maximize"])
    study = optuna.create_study(direction=direction, pruner=pruner(["median", "asha"][case % 2]))
    lines[-1] = lines[-1].format(direction)
    running = {}
    for _ in range(220):
        if len(running) < rnd.choice([1, 3]):
            t = study.ask()
            running[t] = rnd.choice([0, 1])
        t = rnd.choice(list(running))
        step = running[t]
        if step > 24 or rnd.random() < 0.02:
            value = rnd.random()
            study.tell(t, value)
            lines.append(f"end {t.number} COMPLETE")
            del running[t]
            continue
        at = step if rnd.random() > 0.05 else max(0, step - 2)
        value = number()
        t.report(value, at)
        prune = t.should_prune()
        lines.append(f"report {t.number} {at} {value!r} {int(prune)} {rungs(t)}")
        running[t] = step + rnd.choice([1, 1, 1, 2, 7])
        if prune and rnd.random() < 0.8:
            study.tell(t, state=optuna.trial.TrialState.PRUNED)
            lines.append(f"end {t.number} PRUNED")
            del running[t]
        elif rnd.random() < 0.01:
            study.tell(t, state=optuna.trial.TrialState.FAIL)
            lines.append(f"end {t.number} FAIL")
            del running[t]

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "pruner.txt"), "w") as f:
    f.write("\n".join(lines) + "\n")
