"""Writes dist.txt: what Optuna makes of distributions. Run with Optuna 5.

read   <JSON>  <canonical JSON, or ! when Optuna refuses>  <single: 0 or 1>
has    <JSON>  <internal value>  <0 or 1>
fits   <JSON>  <JSON>  <compatible: 0 or 1>
"""
import json
import os
import random
import warnings

from optuna.distributions import (check_distribution_compatibility, distribution_to_json,
                                  json_to_distribution)

warnings.simplefilter("ignore")
rnd = random.Random(5)
lines = []


def read(text):
    try:
        d = json_to_distribution(text)
        # storages convert deprecated classes when they write
        from optuna.distributions import _convert_old_distribution_to_new_distribution as new
        d = new(d, suppress_warning=True)
        lines.append(f"read\t{text}\t{distribution_to_json(d)}\t{int(d.single())}")
        return d
    except (ValueError, KeyError, TypeError, AttributeError):
        lines.append(f"read\t{text}\t!\t0")
        return None


def form(name, **attributes):
    return json.dumps({"name": name, "attributes": attributes})


def number():
    kind = rnd.randrange(4)
    if kind == 0:
        return rnd.randint(-50, 50)
    if kind == 1:
        return round(rnd.uniform(-10, 10), rnd.randint(0, 4))
    if kind == 2:
        return rnd.uniform(-1, 1) * 10.0 ** rnd.randint(-12, 12)
    return rnd.random()


def step():
    return rnd.choice([0.1, 0.2, 0.3, 0.25, 1, 2.5, 7, 1e-5, 0.07, rnd.random(), 3e-7, 1e3])


for _ in range(400):
    low, high, s = number(), number(), step()
    if rnd.random() < 0.95 and low > high:
        low, high = high, low
    text = form("FloatDistribution", step=s, low=low, high=high, log=False)
    d = read(text)
    for _ in range(3) if d else ():
        k = rnd.randint(0, 5)
        v = d.low + k * d.step + rnd.choice([0, 0, 0, d.step / 3, 1e-10 * d.step])
        lines.append(f"has\t{text}\t{v!r}\t{int(d._contains(v))}")

for _ in range(200):
    low, high = rnd.randint(-20, 40), rnd.randint(-20, 40)
    s, log = rnd.randint(0, 9), rnd.random() < 0.2
    text = form("IntDistribution", log=log, step=1 if log and rnd.random() < 0.9 else s, low=low, high=high)
    d = read(text)
    for _ in range(3) if d else ():
        v = float(rnd.randint(-25, 45))
        lines.append(f"has\t{text}\t{v!r}\t{int(d._contains(v))}")

for text in [
        form("FloatDistribution", step=None, low=1e-05, high=0.1, log=True),
        form("FloatDistribution", step=None, low=0.0, high=0.1, log=True),
        form("FloatDistribution", step=0.1, low=1.0, high=2.0, log=True),
        form("FloatDistribution", step=-0.1, low=1.0, high=2.0, log=False),
        form("FloatDistribution", step=0, low=1.0, high=2.0, log=False),
        form("FloatDistribution", low=1, high=2),
        form("FloatDistribution", low=-0.0, high=1e22),
        form("FloatDistribution", low=0, high=1e16, step=1e-7),
        form("FloatDistribution", low=1e-30, high=10, step=1),
        form("FloatDistribution", low=1),
        form("FloatDistribution", low=1, high=2, width=3),
        form("UniformDistribution", low=-1, high=5e-324),
        form("UniformDistribution", low=-1, high=1, log=False),
        form("LogUniformDistribution", low=1e-7, high=1.0),
        form("DiscreteUniformDistribution", low=0.0, high=1.0, q=0.3),
        form("DiscreteUniformDistribution", low=0.0, high=1.0),
        form("IntUniformDistribution", low=1, high=10),
        form("IntUniformDistribution", low=1, high=10, step=4),
        form("IntLogUniformDistribution", low=1, high=1000),
        form("IntLogUniformDistribution", low=1, high=1000, step=1),
        form("IntDistribution", low=1.0, high=10.0),
        form("IntDistribution", low=0, high=9007199254740991),
        form("CategoricalDistribution", choices=["a", 1, 2.5, None, True, float("nan")]),
        form("CategoricalDistribution", choices=[float("inf"), -float("inf"), "NaN", "Infinity"]),
        form("CategoricalDistribution", choices=["é", "日本", "😀", "\x7f\n\t\"\\/", "\x01", ""]),
        form("CategoricalDistribution", choices=[1e-05, 1e16, 123456789012345680.0, 0.1, -0.0, 1e22]),
        form("CategoricalDistribution", choices=[9223372036854775807, -9223372036854775808]),
        form("CategoricalDistribution", choices=["only"]),
        form("CategoricalDistribution", choices=[]),
        form("NormalDistribution", low=1, high=2),
        '{"name": "CategoricalDistribution", "attributes": {"choices": ["\\\\", "\\"NaN", NaN]}}',
        '{"type": "float", "low": 0, "high": 1}',
        '{"type": "float", "low": 1, "high": 10, "log": true}',
        '{"type": "float", "low": 0, "high": 1, "step": 0.3, "extra": 1}',
        '{"type": "int", "low": 0, "high": 10, "step": 4}',
        '{"type": "int", "low": 0, "high": 10, "step": null}',
        '{"type": "int", "low": 1, "high": 10, "log": true}',
        '{"type": "categorical", "choices": ["x", "y"]}',
        '{"type": "normal"}',
]:
    read(text)

some = [form("FloatDistribution", low=1, high=2), form("FloatDistribution", low=1, high=20, log=True),
        form("FloatDistribution", low=1, high=20, step=0.5), form("IntDistribution", low=1, high=2),
        form("IntDistribution", low=1, high=2, log=True), form("CategoricalDistribution", choices=[1, 0]),
        form("CategoricalDistribution", choices=[True, False]),
        form("CategoricalDistribution", choices=[1.0, 0.0]), form("CategoricalDistribution", choices=[1]),
        form("CategoricalDistribution", choices=["1", "0"]),
        form("CategoricalDistribution", choices=[float("nan"), None]),
        form("CategoricalDistribution", choices=[None, float("nan")]),
        form("CategoricalDistribution", choices=[9007199254740993]),
        form("CategoricalDistribution", choices=[9007199254740992.0])]
for a in some:
    for b in some:
        try:
            check_distribution_compatibility(json_to_distribution(a), json_to_distribution(b))
            lines.append(f"fits\t{a}\t{b}\t1")
        except ValueError:
            lines.append(f"fits\t{a}\t{b}\t0")

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "dist.txt"), "w") as f:
    f.write("\n".join(lines) + "\n")
