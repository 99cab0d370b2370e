"""Every factor of forkless-xgboost against the same pipeline in Python (bench/peers/ftf.py), on the same real
prices, folds and parameters and with Python's XGBoost library on both sides.

    interop_factors.py FORKLESS_XGBOOST PEER.py PRICES.csv
"""
import glob
import importlib.util
import json
import os
import subprocess
import sys
import tempfile

try:
    import cleanlab  # noqa: F401
except ImportError:
    print("SKIPPED: this Python has no cleanlab")
    sys.exit(77)

import numpy as np
import xgboost as xgb
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import KFold

PROGRAM, PEER, BARS = sys.argv[1:4]
ROUNDS = 80  # so that few rows fall into the same leaves of all trees: cleanlab takes any of those that tie
spec = importlib.util.spec_from_file_location("ftf", PEER)
peer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(peer)


def environment(work):
    """The worker finds Python's library first, and what that needs."""
    library = xgb.core.find_lib_path()[0]
    os.symlink(library, os.path.join(work, "libxgboost.so.0"))
    needs = glob.glob(os.path.join(os.path.dirname(library), "..", "..", "xgboost*.libs"))
    return os.environ | {"LD_LIBRARY_PATH": ":".join([work] + needs)}


def ours(work, env, **settings):
    path = os.path.join(work, "run.json")
    with open(path, "w") as f:
        json.dump({"data": BARS, "cache": work, "rounds": ROUNDS, "folds": {"walk_forward": peer.FOLDS},
                   "prices": {"windows": list(peer.WINDOWS), "horizon": peer.HORIZON, "threshold": peer.BUY},
                   "fixed": {"tree_method": "hist", "eta": 0.1, "max_depth": 4, "base_score": 0.5}} | settings, f)
    out = subprocess.run([PROGRAM, "--config", path], check=True, capture_output=True, text=True, env=env).stdout
    return {k: float(v) for k, v in (line.split("=") for line in out.splitlines())}


def calibrated(x, y, gain, kind):
    """The baseline's folds, calibrated on out-of-fold log-odds of their training part."""
    def score(p):
        p = np.clip(p.astype("float64"), np.finfo("float32").eps, 1 - np.finfo("float32").eps)
        return np.log(p / (1 - p)).astype("float32").astype("float64")

    folds = []
    for train, test in peer.walk_forward(len(y)):
        prob = np.empty(len(train), "float32")
        for a, b in KFold(5).split(train):
            a = a[(a < b[0] - peer.HORIZON) | (a > b[-1] + peer.HORIZON)]
            prob[b] = xgb.train(peer.PARAMS, xgb.DMatrix(x[train[a]], y[train[a]]), ROUNDS).predict(
                xgb.DMatrix(x[train[b]]))
        model = xgb.train(peer.PARAMS, xgb.DMatrix(x[train], y[train]), ROUNDS)
        by = _SigmoidCalibration() if kind == "platt" else IsotonicRegression(out_of_bounds="clip")
        by.fit(score(prob), y[train])
        # single precision, as the program has it: isotonic says 0 and 1, which log_loss clips by the type
        p = by.predict(score(model.predict(xgb.DMatrix(x[test])))).astype("float32")
        folds.append(peer.evaluate(y[test], p, gain[test]))
    return {name: np.mean([f[name] for f in folds]) for name in ("auc", "brier", "logloss")}


def main():
    with tempfile.TemporaryDirectory(prefix="forkless-factors-") as work:
        env = environment(work)
        x, y, gain = peer.load(BARS)
        seen = set()
        for factor in "baseline", "cleanlab", "focal_loss", "label_smoothing":
            want = peer.trial(factor, x, y, gain, ROUNDS, {})
            got = ours(work, env, factor=factor)["auc"]
            assert abs(got - want) < 1e-3, (factor, got, want)
            seen.add(round(got, 9))
            print("ok", factor, got, got - want, flush=True)
        assert len(seen) == 4, "factors that do not differ"
        for kind in "platt", "isotonic":
            want, got = calibrated(x, y, gain, kind), ours(work, env, factor="baseline", calibrate=kind)
            for name in want:
                assert abs(got[name] - want[name]) < 1e-3, (kind, name, got[name], want[name])
            print("ok", kind, got["brier"], got["brier"] - want["brier"], flush=True)


main()
