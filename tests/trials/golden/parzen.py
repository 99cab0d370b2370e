"""Writes parzen.txt: Optuna's own Parzen estimators on fixed observations. Run with Optuna 5.

case <n> <d>
dist <JSON>                  d times
obs  <d internal values>     n times
comp <weight> <mu sigma>...  n + 1 times; a choice has no mu and sigma
pdf  <d values> <log pdf>    some times
"""
import os
import random
import warnings

import numpy as np
from optuna.distributions import (CategoricalDistribution, FloatDistribution, IntDistribution,
                                  distribution_to_json)
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator, _ParzenEstimatorParameters
from optuna.samplers._tpe.sampler import default_weights

warnings.simplefilter("ignore")


def tie(i, dim):
    """Ours is a hash, see trials/samplers/parzen.h."""
    x = (i + 1) * (2654435761 + 2 * dim * 0x85ebca6b) & 0xffffffff
    x = (x ^ x >> 15) * 0x2c1b3c6d & 0xffffffff
    return x ^ x >> 12


class Sort:
    """Which of several equal observations gets which bandwidth depends on numpy's unstable sort, and so on
    the machine: an order by tie() takes its place. The estimator sorts twice for each axis: the
    observations, then their order."""
    dims, calls, original = [], 0, np.argsort

    def __call__(self, a, *args, **kwargs):
        if not Sort.dims:
            return Sort.original(a, *args, **kwargs)
        dim, Sort.calls = Sort.dims[Sort.calls // 2], Sort.calls + 1
        return np.lexsort(([tie(i, dim) for i in range(len(a))], a))


np.argsort = Sort()
rnd = random.Random(11)
params = _ParzenEstimatorParameters(prior_weight=1.0, consider_magic_clip=True,
                                    consider_endpoints=False, weights=default_weights,
                                    multivariate=True)
spaces = {
    "floats": [FloatDistribution(-5, 10), FloatDistribution(1e-6, 1, log=True)],
    "ints": [IntDistribution(1, 10), IntDistribution(1, 1000, log=True), IntDistribution(0, 5000)],
    "steps": [FloatDistribution(0, 1, step=0.05), IntDistribution(0, 90, step=30)],
    "choices": [CategoricalDistribution(["a", "b", "c"]), FloatDistribution(0, 1)],
    "mixed": [FloatDistribution(0, 1), IntDistribution(1, 64, log=True), CategoricalDistribution([1, 2]),
              FloatDistribution(1e-3, 1e3, log=True), IntDistribution(-3, 3)],
}


def draw(d, tight):
    if isinstance(d, CategoricalDistribution):
        return float(rnd.randrange(len(d.choices)))
    lo, hi = (np.log(d.low), np.log(d.high)) if d.log else (d.low, d.high)
    u = rnd.random() if rnd.random() > tight else 0.3 + 0.02 * rnd.gauss(0, 1)
    x = lo + u * (hi - lo)
    x = float(np.exp(x)) if d.log else x
    if d.step is not None:
        x = d.low + round((x - d.low) / d.step) * d.step
    return float(min(max(x, d.low), d.high))


lines = []
for space in spaces.values():
    for n in (0, 1, 2, 5, 25, 26, 97, 98, 120):
        tight = rnd.choice([0, 0.5])
        rows = [[draw(d, tight) for d in space] for _ in range(n)]
        if n > 4:
            rows[3] = list(rows[1])  # a tie on every axis
        names = [f"p{i}" for i in range(len(space))]
        obs = {name: np.array([r[i] for r in rows]) for i, name in enumerate(names)}
        Sort.dims, Sort.calls = [i for i, d in enumerate(space) if hasattr(d, "low")], 0
        pe = _ParzenEstimator(obs, dict(zip(names, space)), params)
        Sort.dims = []
        mix = pe._mixture_distribution
        lines.append(f"case {n} {len(space)}")
        lines += [f"dist {distribution_to_json(d)}" for d in space]
        lines += ["obs " + " ".join(repr(float(v)) for v in r) for r in rows]
        for k in range(n + 1):
            parts = [repr(float(mix.weights[k]))]
            for d in mix.distributions:
                if hasattr(d, "mu"):
                    parts += [repr(float(d.mu[k])), repr(float(d.sigma[k]))]
            lines.append("comp " + " ".join(parts))
        points = [[draw(d, 0) for d in space] for _ in range(8)] + rows[:4]
        got = pe.log_pdf({name: np.array([p[i] for p in points]) for i, name in enumerate(names)})
        for p, v in zip(points, got):
            lines.append("pdf " + " ".join(repr(float(x)) for x in p) + " " + repr(float(v)))

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "parzen.txt"), "w") as f:
    f.write("\n".join(lines) + "\n")
