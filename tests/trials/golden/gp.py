"""Writes gp.txt: predictions of scikit-learn's Gaussian process. Weights, noise, x, y, points, mean and deviation."""
import os

import numpy as np
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

rng = np.random.default_rng(4)
weights, noise = np.array([3.0, 0.5, 40.0]), 1e-3
x, points = rng.random((12, 3)), rng.random((5, 3))
y = np.sin(5 * x[:, 0]) + x[:, 1] * x[:, 2]
kernel = Matern(1 / np.sqrt(weights), nu=2.5)
inverse = np.linalg.inv(kernel(x) + noise * np.eye(len(x)))
constant = (inverse @ y).sum() / inverse.sum()  # by generalised least squares
gp = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(x, y - constant)
mean, deviation = gp.predict(points, return_std=True)
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "gp.txt"), "w") as f:
    for part in (weights, [noise], x.ravel(), y, points.ravel(), np.stack([constant + mean, deviation], 1).ravel()):
        f.write(" ".join(repr(float(v)) for v in part) + "\n")
