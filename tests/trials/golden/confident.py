"""Writes confident.txt: what cleanlab's find_label_issues(n_jobs=1) names in random cases. Run with cleanlab 2.9.

case <seed> <rows> <classes> <noise %> <strength> <levels> <absent class or -1>
joint <k*k numbers, row by row>
<filter> <rows named, as one number in hexadecimal: bit i is row i>   (four of them; levels > 0: rows may tie)

Both sides draw the same inputs: see draw() here and in test_confident.c.
"""
import os
import random
import warnings

# With AVX2 or AVX-512 numpy's argsort orders equal numbers as its sorting network happens to, and cleanlab rounds
# the joint by that order: its result then depends on the processor. Without them few equal numbers stay in order.
os.environ["NPY_DISABLE_CPU_FEATURES"] = "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"

import numpy as np
from cleanlab.count import compute_confident_joint
from cleanlab.filter import find_label_issues

warnings.simplefilter("ignore")
FILTERS = "prune_by_noise_rate", "prune_by_class", "both", "confident_learning"


def draw(seed, n, k, noise, strength, levels, absent):
    state = seed

    def below(m):
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (state >> 33) % m

    labels, probs = [], []
    for _ in range(n):
        true = below(k)
        label = below(k) if below(100) < noise else true
        label = (label + 1) % k if label == absent else label
        weights = [(below(levels) if levels else below(1000000)) + (strength if j == true else 0) for j in range(k)]
        total = sum(weights)
        labels.append(label)
        probs.append([w / total if total else 1 / k for w in weights])
    return np.array(labels), np.array(probs)


def main():
    rnd = random.Random(11)
    lines = []
    for case in range(1200):
        n = rnd.choice([3, 4, 6, 9, 15, 30, 60, 130, 300])
        k = rnd.choice([2, 2, 2, 3, 4, 7])
        levels = rnd.choice([0, 0, 0, 2, 4])
        strength = rnd.choice([0, 1, 3]) if levels else rnd.choice([0, 200000, 1000000, 4000000])
        args = rnd.getrandbits(63), n, k, rnd.choice([0, 10, 30, 60]), strength, levels, rnd.choice([-1, -1, -1, k - 1])
        labels, probs = draw(*args)
        if len(set(labels)) < 2:
            continue
        lines.append("case " + " ".join(map(str, args)))
        joint = compute_confident_joint(labels, probs)
        lines.append("joint " + " ".join(str(int(v)) for v in joint.flatten()))
        for f in FILTERS:
            mask = find_label_issues(labels, probs, filter_by=f, n_jobs=1)
            lines.append(f"{f} {sum(1 << int(i) for i in np.flatnonzero(mask)):x}")
    with open(os.path.join(os.path.dirname(__file__), "confident.txt"), "w") as out:
        out.write("\n".join(lines) + "\n")


main()
