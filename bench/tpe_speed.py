"""Prints the median time, in ms, that Optuna's default sampler takes for a trial of 8 floats after N trials."""
import sys
import time

import optuna
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

optuna.logging.set_verbosity(optuna.logging.ERROR)
n = int(sys.argv[1])
dists = {f"x{i}": FloatDistribution(-5, 5) for i in range(8)}
rng = __import__("random").Random(1)
study = optuna.create_study()
for _ in range(n):
    x = {k: rng.uniform(-5, 5) for k in dists}
    study.add_trial(create_trial(params=x, distributions=dists, value=sum(v * v for v in x.values())))
times = []
for _ in range(12):
    start = time.perf_counter()
    trial = study.ask(dists)
    study.tell(trial, sum(v * v for v in trial.params.values()))
    times.append(time.perf_counter() - start)
print(sorted(times[2:])[5] * 1e3)
