"""Confident learning against the installed cleanlab, up to sizes that a file of examples does not hold.
Usage: interop.py CONFIDENT_TOOL"""
import struct
import subprocess
import sys
import warnings

import numpy as np

try:
    from cleanlab.filter import find_label_issues
except ImportError:
    print("SKIPPED: this Python has no cleanlab")
    sys.exit(77)

warnings.simplefilter("ignore")
FILTERS = "prune_by_noise_rate", "prune_by_class", "both", "confident_learning"


def ours(labels, probs, filter_by):
    data = struct.pack("QQ", *probs.shape) + labels.astype("uint32").tobytes() + probs.astype("float64").tobytes()
    out = subprocess.run([sys.argv[1], filter_by], input=data, check=True, capture_output=True).stdout
    return np.array(out.split(), dtype=int)


def random_case(rng, n, k, noise):
    true = rng.integers(k, size=n)
    weight = rng.random((n, k)) + 2 * rng.random(n)[:, None] * np.eye(k)[true]
    labels = np.where(rng.random(n) < noise, rng.integers(k, size=n), true)
    labels[:k] = range(k)
    return labels, weight / weight.sum(axis=1, keepdims=True)


rng = np.random.default_rng(2)
found = 0
for n in 10, 100, 1000, 30000:
    for k in 2, 3, 10:
        for noise in 0.05, 0.4:
            labels, probs = random_case(rng, n, k, noise)
            for filter_by in FILTERS:
                want = np.flatnonzero(find_label_issues(labels, probs, filter_by=filter_by, n_jobs=1))
                got = ours(labels, probs, filter_by)
                assert np.array_equal(got, want), (n, k, noise, filter_by, len(got), len(want))
                found += len(want)
assert found > 10000, found
print("ok", found, "rows named by both")
