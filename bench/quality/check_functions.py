"""Checks that functions.c and functions.py agree. usage: check_functions.py SAMPLER_QUALITY"""
import random
import subprocess
import sys

import functions
from optuna_run import spaces


def draw(d, rnd):
    if hasattr(d, "choices"):
        return float(rnd.randrange(len(d.choices)))
    u = rnd.random()
    v = d.low * (d.high / d.low) ** u if d.log else d.low + u * (d.high - d.low)
    if d.step is not None:
        v = d.low + round((v - d.low) / d.step) * d.step
    return float(min(max(v, d.low), d.high))


rnd, worst, program = random.Random(1), 0.0, sys.argv[1]
for f in spaces(program):
    points = [[draw(p["dist"], rnd) for p in f["params"]] for _ in range(200)]
    text = "\n".join(" ".join(map(repr, p)) for p in points)
    out = subprocess.run([program, "eval", functions.TABLE, f["name"]], input=text, text=True, check=True,
                         capture_output=True).stdout
    for p, got in zip(points, map(float, out.split()), strict=True):
        expected = getattr(functions, f["name"])(p)
        error = abs(got - expected) / max(1, abs(expected))
        worst = max(worst, error)
        if error > 1e-9:
            sys.exit(f"{f['name']}{p}: {got}, in Python {expected}")
print(f"{len(list(spaces(program)))} functions agree within {worst:.1e}")
