"""Compares samplers: usage: compare.py SAMPLER_QUALITY RESULTS.tsv BASE OTHER…   (e.g. optuna tpe auto)

For each function and number of trials: median best values; the probability that OTHER ends better than
BASE (Vargha and Delaney's A: ties count half) and the two-sided p of Mann and Whitney's rank test.
"""
import collections
import sys

from optuna_run import spaces
from scipy.stats import mannwhitneyu

results = collections.defaultdict(dict)
for line in open(sys.argv[2]):
    name, sampler, seed, *best = line.split("\t")
    results[name, sampler][int(seed)] = [float(b) for b in best]
sets = {f["name"]: f["set"] for f in spaces(sys.argv[1])}
base, others = sys.argv[3], sys.argv[4:]
names = list(dict.fromkeys(name for name, _ in results))


def median(x):
    x = sorted(x)
    return (x[(len(x) - 1) // 2] + x[len(x) // 2]) / 2


for other in others:
    means = collections.defaultdict(list)
    worse = []
    print(f"\n{other} against {base}: median after 50, 100, 200 trials, P(better), p")
    for name in names:
        a, b = results[name, other], results[name, base]
        if not a or not b:
            continue
        cells = []
        for column, trials in ((0, 50), (1, 100), (3, 200)):
            x, y = [r[column] for r in a.values()], [r[column] for r in b.values()]
            u, p = mannwhitneyu(x, y, alternative="two-sided")
            better = 1 - u / (len(x) * len(y))
            means[sets[name], trials].append(better)
            flag = " " if p > 0.05 else "+" if better > 0.5 else "-"
            if flag == "-":
                worse.append(f"{name}@{trials} p={p:.3f}")
            cells.append(f"{median(x):9.4g} {median(y):9.4g} {better:.2f} {p:.3f}{flag}")
        print(f"{name:13s} n={len(a)}/{len(b)} | " + " | ".join(cells))
    for (which, trials), values in sorted(means.items()):
        print(f"mean P(better) {which} {trials}: {sum(values) / len(values):.3f} (least {min(values):.2f})")
    print("significantly worse:", ", ".join(worse) or "nowhere")
