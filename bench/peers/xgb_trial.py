"""The peer that users run today: one trial in a fresh Python process.

    xgb_trial.py DATA.csv ROUNDS [NAME=VALUE ...]
"""

import sys

import pandas as pd
import xgboost as xgb
from sklearn.metrics import roc_auc_score

data = pd.read_csv(sys.argv[1])
x, y = data.drop(columns="y").to_numpy("float32"), data["y"].to_numpy()
cut = len(y) * 4 // 5
params = {"objective": "binary:logistic", "tree_method": "hist", "max_depth": 6, "eta": 0.1, "nthread": 1}
params |= dict(word.split("=") for word in sys.argv[3:])
model = xgb.train(params, xgb.DMatrix(x[:cut], y[:cut]), int(sys.argv[2]))
print("auc=%r" % roc_auc_score(y[cut:], model.predict(xgb.DMatrix(x[cut:]))))
