"""The factor pipeline as it is written in Python: xgboost, cleanlab and scikit-learn, one warm process.

    ftf.py PRICES.csv ROUNDS TRIALS THREADS     one line of JSON for each trial, then one for the process
    ftf.py --find FILE TIMES            find_label_issues(n_jobs=1) on FILE: rows and classes, labels, probabilities
"""
import glob
import json
import os
import resource
import sys
import time

import numpy as np
import pandas as pd
import xgboost as xgb
from cleanlab.filter import find_label_issues
from scipy.special import expit
from sklearn import metrics
from sklearn.model_selection import KFold

WINDOWS, HORIZON, BUY, COST, FOLDS, CAP_PCT = (4, 24, 96), 12, 0.004, 0.001, 5, 5.0
PARAMS = {"objective": "binary:logistic", "eta": 0.1, "max_depth": 4, "tree_method": "hist", "nthread": 1,
          "seed": 0, "base_score": 0.5, "verbosity": 0}
ALPHA, GAMMA, SMOOTHING = 0.25, 2.0, 0.1


def load(path):
    bars = pd.read_csv(path).rename(columns=str.lower)
    close, volume = bars["close"], bars["volume"]
    step = np.log(close / close.shift(1))
    columns = {"bar_return": step, "bar_range": (bars["high"] - bars["low"]) / close,
               "bar_body": (close - bars["open"]) / bars["open"]}
    for w in WINDOWS:
        low, high = bars["low"].rolling(w).min(), bars["high"].rolling(w).max()
        columns |= {f"return_{w}": np.log(close / close.shift(w)), f"volatility_{w}": step.rolling(w).std(ddof=0),
                    f"momentum_{w}": close / close.rolling(w).mean() - 1, f"range_{w}": (close - low) / (high - low),
                    f"volume_{w}": np.log((volume + 1) / (volume.rolling(w).mean() + 1))}
    gain = close.shift(-HORIZON) / close - 1
    rows = slice(max(WINDOWS), len(bars) - HORIZON)
    return (pd.DataFrame(columns)[rows].to_numpy("float32"), (gain > BUY)[rows].to_numpy(int),
            gain[rows].to_numpy())


def walk_forward(n):
    block = n // (FOLDS + 1)
    for i in range(FOLDS):
        start = n - (FOLDS - i) * block
        yield np.arange(start - HORIZON), np.arange(start, start + block)


def focal(margin, data):
    y = data.get_label()
    sign, a = np.where(y > 0.5, 1.0, -1.0), np.where(y > 0.5, ALPHA, 1 - ALPHA)
    u = sign * margin.astype(float)
    q, r, log_q = expit(u), expit(-u), -np.logaddexp(0, -u)
    focus = a * r**GAMMA
    first = sign * focus * (GAMMA * q * log_q - r)
    second = focus * q * (r * (1 + 2 * GAMMA) + GAMMA * log_q * (r - GAMMA * q))
    return first, np.maximum(second, 1e-16)


def suspects(x, y, rounds):
    """Rows to leave out: at most CAP_PCT of a class, the lowest quality first."""
    prob = np.empty(len(y))
    for train, test in KFold(5).split(x):
        train = train[(train < test[0] - HORIZON) | (train > test[-1] + HORIZON)]
        model = xgb.train(PARAMS, xgb.DMatrix(x[train], y[train]), rounds)
        prob[test] = model.predict(xgb.DMatrix(x[test]))
    both = np.column_stack([1 - prob, prob])
    ranked = find_label_issues(y, both, return_indices_ranked_by="self_confidence", n_jobs=1)
    return np.concatenate([ranked[y[ranked] == k][: int(CAP_PCT * np.sum(y == k) / 100)] for k in (0, 1)])


def calibration_error(y, p):
    at = np.minimum((p * 10).astype(int), 9)
    return sum(abs(p[at == k].sum() - y[at == k].sum()) for k in range(10)) / len(y)


def evaluate(y, p, gain):
    buy = p >= 0.5
    return {"auc": metrics.roc_auc_score(y, p), "aucpr": metrics.average_precision_score(y, p),
            "logloss": metrics.log_loss(y, p), "brier": metrics.brier_score_loss(y, p),
            "ece": calibration_error(y, p), "f1": metrics.f1_score(y, buy),
            "precision": metrics.precision_score(y, buy, zero_division=0), "recall": metrics.recall_score(y, buy),
            "accuracy": metrics.accuracy_score(y, buy), "expectancy": (gain[buy] - COST).mean() if buy.any() else None}


def trial(factor, x, y, gain, rounds, cache):
    folds = []
    for i, (train, test) in enumerate(walk_forward(len(y))):
        if factor in ("baseline", "focal_loss"):  # a warm process keeps what does not change
            if i not in cache:
                cache[i] = xgb.DMatrix(x[train], y[train])
            data = cache[i]
        elif factor == "cleanlab":
            keep = np.delete(train, suspects(x[train], y[train], rounds))
            data = xgb.DMatrix(x[keep], y[keep])
        else:
            data = xgb.DMatrix(x[train], y[train] * (1 - SMOOTHING) + SMOOTHING / 2)
        if factor == "focal_loss":
            model = xgb.train(PARAMS, data, rounds, obj=focal)
            p = model.predict(xgb.DMatrix(x[test]))
            p = p if p.min() >= 0 and p.max() <= 1 else expit(p)
        else:
            model = xgb.train(PARAMS, data, rounds)
            p = model.predict(xgb.DMatrix(x[test]))
        folds.append(evaluate(y[test], p.astype(float), gain[test]))
    return float(np.mean([f["auc"] for f in folds]))


def find():
    with open(sys.argv[2], "rb") as f:
        n, k = np.fromfile(f, "uint64", 2)
        labels, probs = np.fromfile(f, "uint32", n).astype(int), np.fromfile(f, "float64", n * k).reshape(n, k)
    ms = []
    for _ in range(int(sys.argv[3])):
        start = time.perf_counter()
        mask = find_label_issues(labels, probs, n_jobs=1)
        ms.append((time.perf_counter() - start) * 1e3)
    print(json.dumps({"ms": float(np.median(ms)), "issues": int(mask.sum()), "at": int(np.flatnonzero(mask).sum())}))


def main():
    path, rounds, trials = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    PARAMS["nthread"] = int(sys.argv[4])
    began, began_cpu = time.perf_counter(), time.process_time()
    x, y, gain = load(path)
    cache = {}
    for factor in "baseline", "cleanlab", "focal_loss", "label_smoothing":
        for _ in range(trials):
            start, cpu = time.perf_counter(), time.process_time()
            auc = trial(factor, x, y, gain, rounds, cache)
            print(json.dumps({"factor": factor, "auc": auc, "ms": (time.perf_counter() - start) * 1e3,
                              "cpu_ms": (time.process_time() - cpu) * 1e3}), flush=True)
    library = xgb.core.find_lib_path()[0]
    print(json.dumps({"sweep_ms": (time.perf_counter() - began) * 1e3,
                      "sweep_cpu_ms": (time.process_time() - began_cpu) * 1e3, "rows": len(y), "buys": int(y.sum()),
                      "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                      "library": library, "needs": ":".join(glob.glob(f"{os.path.dirname(library)}/../../xgboost*.libs")),
                      "version": xgb.__version__}))


if __name__ == "__main__":
    find() if sys.argv[1] == "--find" else main()
