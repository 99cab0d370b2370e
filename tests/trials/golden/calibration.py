"""Writes calibration.txt: what scikit-learn's sigmoid and isotonic calibration make of random scores.

case <rows> <points asked>
<rows> lines: <score> <label>, then one line for each point asked: <score> <by Platt> <by isotonic>
"""
import os

import numpy as np
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression

rng = np.random.default_rng(7)
lines = []
for case in range(40):
    n = int(rng.choice([8, 20, 60, 200]))
    scale = rng.choice([0.3, 1, 5])
    score = (rng.normal(size=n) * scale).astype("float32")
    if case % 3 == 0:
        score = np.round(score, 1).astype("float32")  # ties
    label = (rng.random(n) < 1 / (1 + np.exp(-(score * rng.uniform(0.2, 2) + rng.normal())))).astype(int)
    label[:2] = 0, 1
    asked = np.concatenate([rng.normal(size=8) * scale * 1.5, score[:4], [-1e4, 1e4]]).astype("float32")
    platt = _SigmoidCalibration().fit(score.astype(float), label).predict(asked.astype(float))
    iso = IsotonicRegression(out_of_bounds="clip").fit(score.astype(float), label).predict(asked.astype(float))
    lines.append(f"case {n} {len(asked)}")
    lines += [f"{float(s)!r} {y}" for s, y in zip(score, label)]
    lines += [f"{float(s)!r} {float(p)!r} {float(i)!r}" for s, p, i in zip(asked, platt, iso)]
with open(os.path.join(os.path.dirname(__file__), "calibration.txt"), "w") as out:
    out.write("\n".join(lines) + "\n")
