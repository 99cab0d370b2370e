"""The functions of last.c once more, for Optuna. Values come in internal representation."""
from math import cos, floor, log, log1p, log2, log10, pi, sin, sqrt


def borehole8(v):
    rw, r, tu, hu, tl, hl, length, kw = v
    ratio = log(r / rw)
    below = ratio * (1 + 2 * length * tu / (ratio * rw * rw * kw) + tu / tl)
    return abs(2 * pi * tu * (hu - hl) / below - 60)


def eggholder2(v):
    x, y = v[0], v[1] + 47
    return -y * sin(sqrt(abs(x / 2 + y))) - x * sin(sqrt(abs(x - y)))


def perm4(v):
    return log1p(sum(sum((j + 10) * (v[j - 1] ** i - (1 / j) ** i) for j in range(1, 5)) ** 2 for i in range(1, 5)))


def dropwave3(v):
    square = (v[0] - 1.1) ** 2 + (v[1] + 0.7) ** 2 + (v[2] - 2.2) ** 2
    return -(1 + cos(12 * sqrt(square))) / (0.5 * square + 2)


def quartic12(v):
    return sum((i + 1) * (x - ((i * 5 + 3) % 12) / 6 + 1) ** 4 for i, x in enumerate(v))


def beam4(v):
    h, l, t, b = v
    radius, moment = sqrt(l * l / 4 + ((h + t) / 2) ** 2), 6000 * (14 + l / 2)
    polar = 2 * (sqrt(2) * h * l * (l * l / 12 + ((h + t) / 2) ** 2))
    first, second = 6000 / (sqrt(2) * h * l), moment * radius / polar
    shear = sqrt(first * first + first * second * l / radius + second * second)
    buckling = 64746.022 * (1 - 0.0282346 * t) * t * b ** 3
    broken = (max(0, shear / 13600 - 1) + max(0, 504000 / (t * t * b) / 30000 - 1) + max(0, h / b - 1)
              + max(0, 1 - buckling / 6000))
    return log(1.10471 * h * h * l + 0.04811 * t * b * (14 + l)) + min(broken, 5)


def clauses14(v):
    total = 0
    for i in range(70):
        x = (i + 7) * 2246822519 % 2 ** 32
        x = (x ^ x >> 13) * 3266489917 % 2 ** 32
        x ^= x >> 16
        met = any(int(v[(x >> 5 * k) % 14]) == (x >> 20 + k & 1) for k in range(3))
        total += 0 if met else 1 + (x >> 24 & 7)
    return float(total)


def schedule(v):
    opt, sgd_lr, momentum, adam_lr, beta, lion_lr, kind, every, factor, warmup, batch = v
    batch = log2(batch)
    loss = 0.02 * (batch - 6) ** 2
    if opt == 0:
        loss += 0.05 + 0.2 * (log10(sgd_lr) + 1.5 - 0.1 * (batch - 6)) ** 2 + 0.4 * (momentum - 0.9) ** 2
    elif opt == 1:
        loss += 0.2 * (log10(adam_lr) + 3 - 0.1 * (batch - 6)) ** 2 + 0.03 * (log10(beta) + 1) ** 2
    else:
        loss += 0.02 + 0.3 * (log10(lion_lr) + 4) ** 2
    if kind == 0:
        return loss + 0.12
    if kind == 1:
        return loss + 0.04 + 0.0004 * (every - 12) ** 2 + 0.3 * (factor - 0.4) ** 2
    return loss + 0.8 * (warmup - 0.08) ** 2


def accuracy(v):
    lr, depth, reg, kind, drop = v
    error = (0.09 + 0.05 * (log10(lr) + 1.7 + 0.08 * depth) ** 2 + 0.002 * (depth - 6 - 2 * kind) ** 2
             + 0.008 * (log10(reg) + 2.5) ** 2 + 0.1 * (drop - 0.3) ** 2 + 0.02 * (kind == 0))
    return floor(250 * min(error, 0.5) + 0.5) / 250
