"""The functions of functions.c once more, for Optuna. Values come in internal representation."""
import math
import os
from math import cos, exp, log, log10, log2, pi, sin, sqrt

from fresh import *
from last import *


def shifted_sphere(v, scale):
    return sum((x - scale * (((i * 37 + 11) % 17) / 16 - 0.5)) ** 2 for i, x in enumerate(v))


def sphere5(v):
    return shifted_sphere(v, 7)


def rugged5(v):
    phase = sum(x * (i + 1) for i, x in enumerate(v))
    return shifted_sphere(v, 7) + 0.5 * sin(100 * phase)


def rosenbrock4(v):
    return sum(100 * (v[i + 1] - v[i] ** 2) ** 2 + (1 - v[i]) ** 2 for i in range(3))


def branin(v):
    x, y = v
    return ((y - 5.1 / (4 * pi * pi) * x * x + 5 / pi * x - 6) ** 2
            + 10 * (1 - 1 / (8 * pi)) * cos(x) + 10)


def hartmann6(v):
    alpha = [1, 1.2, 3, 3.2]
    a = [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8],
         [17, 8, 0.05, 10, 0.1, 14]]
    p = [[0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886], [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
         [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650], [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381]]
    return -sum(al * exp(-sum(r * (x - q) ** 2 for r, x, q in zip(ra, v, rp)))
                for al, ra, rp in zip(alpha, a, p))


def rastrigin4(v):
    xs = [2.5 * x - 0.7 * i for i, x in enumerate(v)]
    return sum(x * x - 10 * cos(2 * pi * x) + 10 for x in xs)


def network(v):
    lr, decay, dropout, momentum, layers, units, act, opt = v
    opt = int(opt)
    loss = 0.3 * (log10(lr) - [-1, -3, -3.5, -2.7][opt]) ** 2
    loss += [0.1, 0.02, 0.06, 0][opt] + [0.05, 0.2, 0][int(act)]
    loss += 0.05 * (log10(decay) + 3.5) ** 2 + (dropout - 0.25 - 0.02 * layers) ** 2
    loss += 0.5 * (momentum - 0.9) ** 2 if opt == 0 else 0.05 * (momentum - 0.5) ** 2
    return loss + 0.04 * abs(layers - 4) + 0.06 * (log2(units) - 7 + 0.3 * (layers - 4)) ** 2


def ints6(v):
    return (sum((x - (i * 11 + 4) % 29) ** 2 / 10 for i, x in enumerate(v))
            + abs(v[0] + v[1] - v[2]) / 5 + abs(v[3] - v[4] - 3) / 5)


def cats8(v):
    total = 0
    for i in range(8):
        c, following = int(v[i]), int(v[(i + 1) % 8])
        total += (i * 7 + c * 5 + 3) * (c + 2) % 11 / 10 + (c * 3 + following * 5 + i * 2) % 7 / 14
    return total


def model(v):
    kind, c, gamma, depth, share, lr, layers, scale = v
    common = 0.2 * (scale - 0.6) ** 2
    if kind == 0:
        return (0.12 + 0.05 * (log10(c) - 1) ** 2 + 0.08 * (log10(gamma) + 2 + 0.3 * log10(c)) ** 2
                + common)
    if kind == 1:
        return 0.15 + 0.004 * (depth - 11) ** 2 + 0.3 * (share - 0.4) ** 2 + common
    return 0.1 + 0.1 * (log10(lr) + 2.5) ** 2 + 0.03 * (layers - 3) ** 2 + common


def ackley6(v):
    xs = [x - 1.7 * i + 2 for i, x in enumerate(v)]
    return (20 - 20 * exp(-0.2 * sqrt(sum(x * x for x in xs) / 6)) + math.e
            - exp(sum(cos(2 * pi * x) for x in xs) / 6))


def levy5(v):
    w = [1 + (x - 1) / 4 for x in v]
    return (sin(pi * w[0]) ** 2 + (w[4] - 1) ** 2 * (1 + sin(2 * pi * w[4]) ** 2)
            + sum((x - 1) ** 2 * (1 + 10 * sin(pi * x + 1) ** 2) for x in w[:4]))


def ellipsoid8(v):
    return sum(10 ** (3 * i / 7) * (v[i] - 1 + 0.3 * i + 0.4 * v[(i + 1) % 8]) ** 2 for i in range(8))


def styblinski5(v):
    return sum((x ** 4 - 16 * x ** 2 + 5 * x) / 2 for x in v)


def michalewicz5(v):
    return -sum(sin(x) * sin((i + 1) * x * x / pi) ** 20 for i, x in enumerate(v))


def sphere15(v):
    return sum((0.05 if i % 3 == 2 else 1) * (x - ((i * 7 + 5) % 16) / 16) ** 2 for i, x in enumerate(v))


def boost(v):
    eta, depth, lam, alpha, subsample, colsample, rounds, child, grow, booster = v
    effort, linear = log10(eta) + 0.8 * log10(rounds) - 0.6, booster == 2
    fit = 0.25 * effort ** 2 + (not linear) * 0.006 * (depth - 6 - (grow == 1)) ** 2
    regular = 0.01 * (log10(lam) - 0.3) ** 2 + 0.004 * abs(log10(alpha) + 2)
    sampling = 0.3 * (subsample - 0.75) ** 2 + 0.15 * (colsample - 0.6) ** 2 + 0.0008 * (child - 4) ** 2
    return (0.2 + fit + regular + sampling + 0.15 * linear + 0.02 * (booster == 1)
            + 0.01 * (grow == 0))


def grid6(v):
    a, b, c, d, e, f = v
    return ((a - 0.35) ** 2 + (b - a - 0.2) ** 2 + 0.5 * abs(c - 0.8) + 0.02 * (log2(d) - 5) ** 2
            + 0.02 * (log2(e) + log2(d) - 8) ** 2 + 0.05 * abs(f - 4))


def mixed6(v):
    a, b = int(v[0]), int(v[1])
    turn = 1 if v[2] == 0 else -0.5
    return ((a * 5 + b * 2) % 6 / 5 + (a == b) * 0.4 + 0.3 * (v[3] - turn) ** 2
            + 0.2 * (v[4] - 0.5 * v[3] + (b - 2.5) / 2.5) ** 2 + 0.3 * (v[5] + 1) ** 2)


def tree(v):
    deep, x, y, extra, z, n, w = v
    total = 0.3 * (x - 0.4) ** 2 + 0.05 * (log10(w) + 1.5) ** 2
    if deep == 0:
        return 0.5 + total
    total += 0.5 * (y + 0.3) ** 2 + 0.01 * (n - 6) ** 2
    return total + (0.3 if extra == 0 else 0.2 if extra == 1 else 0.5 * (z - 0.7) ** 2)


SIDES = (8, 6, 4, 5, 4)
TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "xgboost_table.txt")
_table = []


def xgboost(v):
    if not _table:
        _table.extend(float(x) for x in open(TABLE).read().split())
    u = [log(v[0] / 0.01) / log(100), (v[1] - 1) / 5, (v[2] - 0.25) / 0.75, log(v[3] / 0.1) / log(1e4),
         log(v[4] / 0.001) / log(1e6)]
    xs = [min(max(x, 0), 1) * (n - 1) for x, n in zip(u, SIDES)]
    total = 0
    for corner in range(1 << len(xs)):
        weight, at = 1.0, 0
        for i, (x, n) in enumerate(zip(xs, SIDES)):
            low, up = min(int(x), n - 2), corner >> i & 1
            weight *= x - low if up else 1 - (x - low)
            at = at * n + low + up
        total += weight * _table[at]
    return total
