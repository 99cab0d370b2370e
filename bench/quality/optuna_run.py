"""Runs Optuna's default sampler on the functions of sampler_quality.

usage: optuna_run.py SAMPLER_QUALITY FIRST_SEED LAST_SEED TRIALS [FUNCTION or SET…] >> results.tsv
Prints what `sampler_quality run` prints.
"""
import json
import random
import re
import subprocess
import sys
import warnings

import functions
import optuna
from optuna.distributions import json_to_distribution

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.simplefilter("ignore")


def spaces(program):
    out = subprocess.run([program, "list"], check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        f = json.loads(line)
        for p in f["params"]:
            p["dist"] = json_to_distribution(json.dumps(p["dist"]))
            if "when" in p:
                name, value = re.fullmatch(r"(\w+) == (.+)", p["when"]).groups()
                p["when"] = (name, json.loads(value))
        yield f


def objective(f, seed):
    evaluate, rng = getattr(functions, f["name"]), random.Random(seed)

    def call(trial):
        external, internal = {}, []
        for p in f["params"]:
            if "when" in p and external.get(p["when"][0]) != p["when"][1]:
                internal.append(0)
                continue
            value = trial._suggest(p["name"], p["dist"])
            external[p["name"]] = value
            internal.append(p["dist"].to_internal_repr(value))
        value = evaluate(internal)
        trial.set_user_attr("value", value)
        return value + f["noise"] * rng.gauss(0, 1)

    return call


def main():
    program, first, last, trials = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    for seed in range(first, last):
        for f in spaces(program):
            if sys.argv[5:] and not {f["name"], f["set"]} & set(sys.argv[5:]):
                continue
            study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
            study.optimize(objective(f, seed), n_trials=trials)
            values = [(t.value, t.user_attrs["value"]) for t in study.trials]
            best = [f"{min(values[:n])[1]:.10g}" for n in range(50, trials + 1, 50)]
            print(f["name"], "optuna", seed, *best, sep="\t", flush=True)


if __name__ == "__main__":
    main()
