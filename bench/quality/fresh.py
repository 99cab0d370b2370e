"""The functions of fresh.c once more, for Optuna. Values come in internal representation."""
from math import cos, exp, floor, log, log1p, log2, log10, pi, sin, sqrt


def hartmann3(v):
    alpha = [1, 1.2, 3, 3.2]
    a = [[3, 10, 30], [0.1, 10, 35], [3, 10, 30], [0.1, 10, 35]]
    p = [[0.3689, 0.1170, 0.2673], [0.4699, 0.4387, 0.7470], [0.1091, 0.8732, 0.5547], [0.0381, 0.5743, 0.8828]]
    return -sum(al * exp(-sum(r * (x - q) ** 2 for r, x, q in zip(ra, v, rp)))
                for al, ra, rp in zip(alpha, a, p))


def shekel4(v):
    c = [0.1, 0.2, 0.2, 0.4, 0.4, 0.6, 0.3, 0.7, 0.5, 0.5]
    a = [[4, 4, 4, 4], [1, 1, 1, 1], [8, 8, 8, 8], [6, 6, 6, 6], [3, 7, 3, 7], [2, 9, 2, 9], [5, 5, 3, 3],
         [8, 1, 8, 1], [6, 2, 6, 2], [7, 3.6, 7, 3.6]]
    return -sum(1 / (ci + sum((x - y) ** 2 for x, y in zip(v, ai))) for ci, ai in zip(c, a))


def griewank5(v):
    total, product = 0, 1
    for i, value in enumerate(v):
        x = value - 9 * i + 17
        total += x * x / 4000
        product *= cos(x / sqrt(i + 1))
    return total - product + 1


def trid6(v):
    return sum((x - 1) ** 2 for x in v) - sum(v[i] * v[i - 1] for i in range(1, 6))


def dixonprice5(v):
    return (v[0] - 1) ** 2 + sum((i + 1) * (2 * v[i] ** 2 - v[i - 1]) ** 2 for i in range(1, 5))


def zakharov7(v):
    xs = [x - 0.4 * i + 1 for i, x in enumerate(v)]
    line = sum(0.5 * (i + 1) * x for i, x in enumerate(xs))
    return sum(x * x for x in xs) + line ** 2 + line ** 4


def schwefel4(v):
    return 4 * 418.9829 - sum(x * sin(sqrt(abs(x))) for x in v)


def goldstein2(v):
    x, y = v
    a = 19 - 14 * x + 3 * x * x - 14 * y + 6 * x * y + 3 * y * y
    b = 18 - 32 * x + 12 * x * x + 48 * y - 36 * x * y + 27 * y * y
    return log((1 + (x + y + 1) ** 2 * a) * (30 + (2 * x - 3 * y) ** 2 * b))


def powell8(v):
    return sum((v[i] + 10 * v[i + 1]) ** 2 + 5 * (v[i + 2] - v[i + 3]) ** 2 + (v[i + 1] - 2 * v[i + 2]) ** 4
               + 10 * (v[i] - v[i + 3]) ** 4 for i in (0, 4))


def alpine6(v):
    xs = [x - 0.6 * i + 1 for i, x in enumerate(v)]
    return sum(abs(x * sin(x) + 0.1 * x) for x in xs)


def salomon5(v):
    r = sqrt(sum((x - 2.3 * i + 3) ** 2 for i, x in enumerate(v)))
    return 1 - cos(2 * pi * r) + 0.1 * r


def plateau5(v):
    return float(sum(floor(2 * abs(x - 1.3 * i + 2)) for i, x in enumerate(v)))


def friedman10(v):
    return 10 * sin(pi * v[0] * v[1]) + 20 * (v[2] - 0.5) ** 2 + 10 * v[3] + 5 * v[4]


def vessel4(v):
    s, h, r, length = 0.0625 * v[0], 0.0625 * v[1], v[2], v[3]
    volume = pi * r * r * length + 4 / 3 * pi * r ** 3
    cost = 0.6224 * s * r * length + 1.7781 * h * r * r + 3.1661 * s * s * length + 19.84 * s * s * r
    broken = max(0, 0.0193 * r / s - 1) + max(0, 0.00954 * r / h - 1) + max(0, 1 - volume / 1296000)
    return cost / 1000 + 20 * broken


def gear4(v):
    return log10((1 / 6.931 - v[0] * v[1] / (v[2] * v[3])) ** 2 + 1e-12)


def nk10(v):
    total = 0
    for i in range(10):
        key = int(v[i] + 3 * v[(i + 1) % 10] + 9 * v[(i + 2) % 10])
        x = (27 * i + key + 1) * 2654435761 % 2 ** 32
        x = (x ^ x >> 15) * 0x2c1b3c6d % 2 ** 32
        total += (x >> 8) / 16777216
    return total


def pipeline(v):
    scale, learner, alpha, penalty, k, depth, features, eta, leaves, threshold = v
    loss = 0.3 * (threshold - 0.35) ** 2 + 0.02 * (scale != 1)
    if learner == 0:
        return loss + 0.17 + 0.02 * (log10(alpha) + 1) ** 2 + 0.01 * (penalty == 0)
    if learner == 1:
        return loss + 0.15 + 0.03 * (log2(k) - 4) ** 2 + 0.05 * (scale == 0)
    if learner == 2:
        return loss + 0.12 + 0.001 * (depth - 17) ** 2 + 0.2 * (features - 0.3) ** 2
    effort = log10(eta) + 0.3 * log2(leaves)
    return loss + 0.1 + 0.2 * (log10(eta) + 1.2) ** 2 + 0.1 * (effort - 0.4) ** 2


def regions(v):
    region, a, b, c, d, e, f, g, h = v
    if region == 0:
        return (4 - 2.1 * a ** 2 + a ** 4 / 3) * a ** 2 + a * b + (4 * b ** 2 - 4) * b ** 2
    if region == 1:
        return log1p((1.5 - c + c * d) ** 2 + (2.25 - c + c * d ** 2) ** 2 + (2.625 - c + c * d ** 3) ** 2) - 0.8
    if region == 2:
        return log1p((e * e + f - 11) ** 2 + (e + f * f - 7) ** 2) - 1.2
    return sin(g + h) + (g - h) ** 2 - 1.5 * g + 2.5 * h + 1.5


def noisy6(v):
    return sum((v[i] - 1.1 + 0.5 * i + 0.3 * v[(i + 2) % 6]) ** 2 / (i + 1) for i in range(6))


def noisytune(v):
    lr, decay, layers, dropout, act = v
    far = log10(lr) + 2.2 + 0.2 * layers
    loss = 0.08 + 0.04 * far ** 2 + (0.3 * (far - 1) if far > 1 else 0) + [0.01, 0.03, 0, 0.015][int(act)]
    return (loss + 0.004 * (log10(decay) + 4) ** 2 + 0.006 * (layers - 3.6) ** 2
            + 0.15 * (dropout - 0.05 * layers) ** 2)
