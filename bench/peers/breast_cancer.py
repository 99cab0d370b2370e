"""Writes scikit-learn's breast cancer data, 569 rows of 30 features, as CSV with the label y."""

import sys

from sklearn.datasets import load_breast_cancer

data = load_breast_cancer(as_frame=True)
data.frame.rename(columns={"target": "y"}).to_csv(sys.argv[1], index=False)
