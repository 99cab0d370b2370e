"""Takes the formulas of docs/focal-loss.md, differentiates the loss with sympy, and simplifies the difference to
nothing. test_focal.c checks that the program computes them. Usage: formulas.py docs/focal-loss.md"""
import sys

try:
    import sympy
except ImportError:
    print("SKIPPED: this Python has no sympy")
    sys.exit(77)

a, gamma = sympy.symbols("a gamma", positive=True)
z = sympy.Symbol("z", real=True)
q = 1 / (1 + sympy.exp(-z))
r = 1 - q


def formula(name, text):
    """The right side of the line that begins with the name."""
    for line in text.splitlines():
        left, equals, right = line.partition(" = ")
        if left.strip() == name and equals:
            right = right.replace("·", "*").replace("−", "-").replace("^", "**").replace("γ", "gamma")
            return sympy.sympify(right.replace("ln q", "log(q)"), locals={"q": q, "r": r, "a": a, "gamma": gamma})
    sys.exit(f"no formula for {name}")


def vanishes(expression):
    """Identically: divided by r^gamma, in the probability alone."""
    p = sympy.Symbol("p", positive=True)
    expression = (expression / r**gamma).subs(z, sympy.log(p / (1 - p)))
    return sympy.simplify(sympy.expand(sympy.powsimp(sympy.simplify(expression), force=True))) == 0


text = open(sys.argv[1], encoding="utf-8").read()
loss = formula("L(u)", text)
checks = {
    "first derivative": sympy.diff(loss, z) - formula("dL/du", text),
    "second derivative": sympy.diff(loss, z, 2) - formula("d²L/du²", text),
    "gamma 0 is weighted log-loss": (formula("dL/du", text) + a * (1 - q)).subs(gamma, 0),
    "and its curvature": (formula("d²L/du²", text) - a * q * (1 - q)).subs(gamma, 0),
}
for what, difference in checks.items():
    assert vanishes(difference), what
    assert not vanishes(difference + r**gamma * q / 1000), f"{what}: a wrong formula would pass"
    print("ok", what)
