"""What forkless-xgboost says, checked against Python: its saved models load in today's xgboost and predict
the same, its metrics are scikit-learn's on the folds of scikit-learn, its training is XGBoost's.

    interop.py FORKLESS_XGBOOST FLIGHTS_CSV
"""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import pandas as pd
import xgboost as xgb
from sklearn import metrics
from sklearn.calibration import calibration_curve
from sklearn.model_selection import KFold, TimeSeriesSplit

PROGRAM, FLIGHTS = sys.argv[1:3]
CATEGORICAL = ["carrier", "origin", "dest"]


def run(config, **params):
    """The metrics of one trial by hand, and the directory with its model."""
    out = tempfile.mkdtemp(dir=WORK)
    path = os.path.join(out, "run.json")
    with open(path, "w") as f:
        json.dump(config | {"cache": WORK}, f)
    command = [PROGRAM, "--config", path, "--dir", out]
    for name, value in params.items():
        command += ["--param", f"{name}={value}"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {k: float(v) for k, v in (line.split("=") for line in text.splitlines())}, out


def encode(frame, out):
    """The features as model.json describes them."""
    with open(os.path.join(out, "model.json")) as f:
        model = json.load(f)
    x = frame[model["columns"]].copy()
    for column, texts in model["categories"].items():
        if column in x:
            x[column] = x[column].map({t: i for i, t in enumerate(texts)})
    return x.astype("float32").set_axis(model["feature_names"], axis=1)


def load(out):
    booster = xgb.Booster()
    booster.load_model(os.path.join(out, "model.ubj"))
    return booster


def near(got, want, what, tolerance=1e-6):
    assert abs(got - want) <= tolerance, f"{what}: {got!r} is not {want!r}"


def calibration_error(y, q):
    """Over scikit-learn's reliability curve."""
    true, said = calibration_curve(y, q, n_bins=10)
    rows = np.bincount(np.searchsorted(np.linspace(0, 1, 11)[1:-1], q), minlength=10)
    return float((abs(true - said) * rows[rows > 0]).sum() / len(y))


def binary_metrics(y, p):
    q = p.astype("float64")
    return {
        "ece": calibration_error(y, q),
        "precision": metrics.precision_score(y, q >= 0.3),
        "auc": metrics.roc_auc_score(y, q),
        "aucpr": metrics.average_precision_score(y, q),
        "logloss": metrics.log_loss(y, q),
        "brier": metrics.brier_score_loss(y, q),
        "f1": metrics.f1_score(y, q >= 0.3),
        "accuracy": metrics.accuracy_score(y, q >= 0.3),
    }


def names_in(config):
    if isinstance(config, dict):
        for key, value in config.items():
            if isinstance(value, (dict, list)):
                yield from names_in(value)
            else:
                yield key
    elif isinstance(config, list):
        for value in config:
            yield from names_in(value)


def every_parameter_of_xgboost_is_accepted(frame):
    """Those that a saved configuration of Python's release names, and those of its scikit-learn interface."""
    of_saved_files = {"name", "num_trees", "updater_seq", "specified_updater", "version"}
    other_words = {"n_estimators", "early_stopping_rounds", "missing", "enable_categorical", "feature_types",
                   "importance_type", "callbacks", "feature_weights"}
    names = set(xgb.XGBModel().get_params()) - other_words
    x, y = np.arange(40).reshape(20, 2) % 11, np.arange(20) % 2
    for booster in "gbtree", "dart", "gblinear":
        for objective in ("binary:logistic", "reg:tweedie", "reg:pseudohubererror", "count:poisson", "rank:ndcg",
                          "multi:softprob", "reg:quantileerror"):
            for method in "exact", "hist", "approx":
                model = xgb.train({"booster": booster, "objective": objective, "tree_method": method, "verbosity": 0,
                                   "num_class": 2 if objective == "multi:softprob" else 0, "quantile_alpha": 0.5},
                                  xgb.DMatrix(x, y), 1)
                names |= set(names_in(json.loads(model.save_config())))
    names -= of_saved_files | {"objective", "eval_metric"}
    assert len(names) > 60, names
    path = os.path.join(WORK, "names.json")
    with open(path, "w") as f:
        json.dump({"data": FLIGHTS, "label": "late", "categorical": CATEGORICAL, "cache": WORK,
                   "fixed": {name: 1 for name in names}}, f)
    subprocess.run([PROGRAM, "--config", path, "--prepare"], check=True, stdout=subprocess.DEVNULL)


def saved_models_predict_what_was_measured(frame):
    """Hold-out: the model that was measured is the one that was saved, so its metrics must come out again."""
    cases = {
        "logistic": {"objective": "binary:logistic"},
        "focal": {"objective": "focal", "focal_gamma": 1.5, "focal_alpha": 0.4},
        "dart": {"booster": "dart", "rate_drop": 0.2, "rounds": 15},
        "stopped early": {"early_stop": 5, "eta": 0.4, "rounds": 200},
        # later rounds change what these two were at their best: they cannot be cut off
        "dart stopped early": {"booster": "dart", "rate_drop": 0.5, "early_stop": 4, "eta": 0.8, "rounds": 40},
        "gblinear stopped early": {"booster": "gblinear", "early_stop": 4, "eta": 1.5, "rounds": 60,
                                   "updater": "coord_descent"},
        "forest stopped early": {"num_parallel_tree": 3, "subsample": 0.5, "early_stop": 4, "eta": 0.6, "rounds": 60},
    }
    test = frame.iloc[-int(np.ceil(len(frame) * 0.2)):]
    for name, params in cases.items():
        config = {"data": FLIGHTS, "label": "late", "categorical": CATEGORICAL, "rounds": 40, "threshold": 0.3}
        trees = {} if params.get("booster") == "gblinear" else {"max_depth": 5, "tree_method": "hist"}
        said, out = run(config, **trees | params)
        model = load(out)
        if "early_stop" in params:
            with open(os.path.join(out, "model.json")) as f:
                assert json.load(f)["rounds"] < params["rounds"] - params["early_stop"], f"{name}: nothing was cut off"
        assert model.feature_names == [c for c in frame.columns if c != "late"], model.feature_names
        p = model.predict(xgb.DMatrix(encode(test, out)))
        for metric, want in binary_metrics(test["late"], p).items():
            near(said[metric], want, f"{name} {metric}")


def columns_keep_their_names_where_xgboost_allows(frame):
    rng = np.random.default_rng(3)
    columns = ["größe", "a b", "x[0]", "x_0_", "x<0]", "sum(x, y)", "\"quoted\""]
    table = pd.DataFrame(rng.normal(size=(400, len(columns))).round(4), columns=columns)
    table["y"] = (table["x[0]"] + table["x_0_"] * 2 + rng.normal(size=400) > 0).astype(int)
    data = os.path.join(WORK, "names.csv")
    table.to_csv(data, index=False)
    said, out = run({"data": data, "label": "y", "rounds": 10})
    with open(os.path.join(out, "model.json")) as f:
        model = json.load(f)
    assert model["columns"] == columns, model
    assert model["feature_names"] == ["größe", "a b", "x_0__", "x_0_", "x_0___", "sum(x, y)", "\"quoted\""], model
    assert load(out).feature_names == model["feature_names"]
    test = table.iloc[-80:]
    p = load(out).predict(xgb.DMatrix(encode(test, out)))
    near(said["auc"], metrics.roc_auc_score(test["y"], p), "auc of odd names")


def a_walk_forward_is_what_python_would_compute(frame):
    """Training in Python on scikit-learn's folds with the same parameters gives the same mean AUC, up to
    what two releases of XGBoost differ by."""
    config = {"data": FLIGHTS, "label": "late", "categorical": CATEGORICAL, "rounds": 30,
              "folds": {"walk_forward": 3, "embargo": 50}, "fixed": {"tree_method": "hist", "base_score": 0.5}}
    said, out = run(config, eta=0.1, max_depth=4)
    x, y = encode(frame, out), frame["late"]
    params = {"objective": "binary:logistic", "eta": 0.1, "max_depth": 4, "tree_method": "hist", "base_score": 0.5,
              "nthread": 1}
    aucs = []
    for train, test in TimeSeriesSplit(3, gap=50).split(x):
        model = xgb.train(params, xgb.DMatrix(x.iloc[train], y.iloc[train]), 30)
        aucs.append(metrics.roc_auc_score(y.iloc[test], model.predict(xgb.DMatrix(x.iloc[test]))))
    near(said["auc"], float(np.mean(aucs)), "walk-forward auc", 5e-3)
    last = load(out).predict(xgb.DMatrix(x.iloc[test]))
    near(metrics.roc_auc_score(y.iloc[test], last), aucs[-1], "the last fold's model", 1e-2)


def focal_is_what_a_python_objective_would_do(frame):
    """The same loss as a custom objective in Python, its derivatives by another formula."""
    alpha, gamma, rounds = 0.3, 2.0, 20

    def objective(margin, dtrain):
        y, z = dtrain.get_label().astype("float64"), margin.astype("float64")
        p = 1 / (1 + np.exp(-z))
        pt, sign = np.where(y == 1, p, 1 - p), np.where(y == 1, 1.0, -1.0)
        at = np.where(y == 1, alpha, 1 - alpha)
        def slope(pt):
            return at * sign * (1 - pt) ** gamma * (gamma * pt * np.log(pt) + pt - 1)
        h = 1e-5
        up = 1 / (1 + np.exp(-(z + h)))
        down = 1 / (1 + np.exp(-(z - h)))
        curve = (slope(np.where(y == 1, up, 1 - up)) - slope(np.where(y == 1, down, 1 - down))) / (2 * h)
        return slope(pt), np.maximum(curve, 1e-16)

    config = {"data": FLIGHTS, "label": "late", "categorical": CATEGORICAL, "rounds": rounds, "objective": "focal"}
    said, out = run(config, eta=0.3, max_depth=4, focal_alpha=alpha, focal_gamma=gamma, tree_method="hist")
    x, y = encode(frame, out), frame["late"]
    cut = len(x) - int(np.ceil(len(x) * 0.2))
    train = xgb.DMatrix(x.iloc[:cut], y.iloc[:cut])
    params = {"objective": "binary:logistic", "base_score": 0.5, "eta": 0.3, "max_depth": 4, "tree_method": "hist",
              "nthread": 1}
    model = xgb.train(params, train, rounds, obj=objective)
    p = model.predict(xgb.DMatrix(x.iloc[cut:]))
    near(said["auc"], metrics.roc_auc_score(y.iloc[cut:], p), "focal auc", 1e-2)
    near(said["logloss"], metrics.log_loss(y.iloc[cut:], p.astype("float64")), "focal logloss", 1e-2)


def regression_and_classes_agree(frame):
    """distance from the rest (regression, k-fold) and the origin airport (three classes, hold-out)."""
    config = {"data": FLIGHTS, "label": "origin", "categorical": CATEGORICAL, "objective": "multi:softprob",
              "rounds": 10, "drop": ["late"]}
    said, out = run(config, max_depth=3, tree_method="hist")
    test = frame.iloc[-int(np.ceil(len(frame) * 0.2)):]
    y = test["origin"].map({t: i for i, t in enumerate(sorted(frame["origin"].unique()))})
    p = load(out).predict(xgb.DMatrix(encode(test, out))).astype("float64")
    near(said["mlogloss"], metrics.log_loss(y, p / p.sum(axis=1, keepdims=True)), "mlogloss")
    near(said["accuracy"], metrics.accuracy_score(y, p.argmax(axis=1)), "multi-class accuracy")

    config = {"data": FLIGHTS, "label": "distance", "categorical": CATEGORICAL, "objective": "reg:squarederror",
              "rounds": 15, "folds": {"holdout": 0.2}}
    said, out = run(config, max_depth=4, tree_method="hist")
    p = load(out).predict(xgb.DMatrix(encode(test, out))).astype("float64")
    near(said["rmse"], metrics.root_mean_squared_error(test["distance"], p), "rmse", 1e-3)
    near(said["mae"], metrics.mean_absolute_error(test["distance"], p), "mae", 1e-3)
    near(said["r2"], metrics.r2_score(test["distance"], p), "r2")


def a_kfold_model_is_trained_on_every_row(frame):
    config = {"data": FLIGHTS, "label": "late", "categorical": CATEGORICAL, "rounds": 12, "folds": {"kfold": 3}}
    said, out = run(config, max_depth=3, tree_method="hist", base_score=0.5)
    x, y = encode(frame, out), frame["late"]
    params = {"objective": "binary:logistic", "max_depth": 3, "tree_method": "hist", "base_score": 0.5, "nthread": 1}
    model = xgb.train(params, xgb.DMatrix(x, y), 12)
    whole = load(out)
    assert whole.num_boosted_rounds() == 12
    near(metrics.roc_auc_score(y, whole.predict(xgb.DMatrix(x))),
         metrics.roc_auc_score(y, model.predict(xgb.DMatrix(x))), "auc of the model of all rows", 1e-3)
    folds = [len(test) for _, test in KFold(3).split(x)]
    assert sum(folds) == len(frame)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as WORK:
        flights = pd.read_csv(FLIGHTS, keep_default_na=False, na_values=[""])
        for check in (every_parameter_of_xgboost_is_accepted, saved_models_predict_what_was_measured, columns_keep_their_names_where_xgboost_allows, a_walk_forward_is_what_python_would_compute,
                      focal_is_what_a_python_objective_would_do, regression_and_classes_agree,
                      a_kfold_model_is_trained_on_every_row):
            check(flights)
            print("ok", check.__name__)
