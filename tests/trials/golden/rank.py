"""Golden values of Wilcoxon's signed-rank test: python rank.py > rank.txt

Each line: p, how it was found, the differences. scipy is exact where no two differences have the same
size and none is zero; with ties, all 2^n settings of the signs are counted here."""
import itertools

import numpy as np
from scipy.stats import rankdata, wilcoxon

rng = np.random.default_rng(7)


def say(p, how, d):
    print(repr(float(p)), how, *(repr(float(x)) for x in d))


for n in (1, 2, 3, 5, 6, 8, 12, 20, 25, 40, 50):
    for shift in (0.0, 0.4, -1.0):
        d = rng.normal(shift, 1, n)
        say(wilcoxon(d, method="exact").pvalue, "exact", d)

for n in (4, 6, 9, 12):
    for _ in range(4):
        d = rng.integers(-3, 4, n).astype(float)
        kept = d[d != 0]
        if len(kept) == 0:
            continue
        r = rankdata(np.abs(kept))
        w = r[kept > 0].sum()
        sums = [sum(s * x for s, x in zip(signs, r)) for signs in itertools.product((0, 1), repeat=len(r))]
        low = np.mean([x <= w for x in sums])
        high = np.mean([x >= w for x in sums])
        say(min(1, 2 * min(low, high)), "counted", d)

for n in (90, 150, 300):
    for shift in (0.0, 0.2):
        d = np.round(rng.normal(shift, 1, n), 1)
        say(wilcoxon(d, method="approx", zero_method="wilcox", correction=False).pvalue, "normal", d)
