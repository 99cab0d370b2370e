"""Writes focal.txt: focal loss and its first two derivatives by the margin, from the paper's equation 5 in 700
digits and central differences of it, over a grid. No formula for a derivative is used. Run with mpmath.

<gamma> <alpha> <label> <margin> <loss> <first> <second>
"""
import os

from mpmath import exp, log, mp, mpf

mp.dps = 700  # 1 - e^-700 must be another number than 1, and its differences must be exact
H = mpf(10) ** -120


def loss(gamma, alpha, label, z):
    # 1 - p is a probability of its own: subtracting loses everything at -700
    p, other = 1 / (1 + exp(-z)), 1 / (1 + exp(z))
    pt, rest, at = (p, other, alpha) if label else (other, p, 1 - alpha)
    return -at * rest**gamma * log(pt)


def text(v):
    return repr(float(v))


lines = []
for gamma in "0", "0.5", "1", "2", "3.5", "5", "7.25", "10":
    for alpha in "0", "0.25", "0.6", "1":
        for label in 0, 1:
            for size in "0", "0.01", "0.7", "3", "8", "20", "37.5", "120", "400", "700":
                for z in {mpf(size), -mpf(size)}:
                    g, a = mpf(gamma), mpf(alpha)
                    below, here, above = (loss(g, a, label, z + k * H) for k in (-1, 0, 1))
                    first, second = (above - below) / (2 * H), (above - 2 * here + below) / H**2
                    lines.append(f"{gamma} {alpha} {label} {text(z)} {text(here)} {text(first)} {text(second)}")
with open(os.path.join(os.path.dirname(__file__), "focal.txt"), "w") as out:
    out.write("\n".join(sorted(lines)) + "\n")
