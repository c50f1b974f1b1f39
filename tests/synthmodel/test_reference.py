"""The package against reference values of 40 digits, which precompute/reference.py computes without its code."""

import ast
import importlib
import json
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from mpmath import mp, mpf

import synthmodel
from synthmodel.accuracy import any_setting, three_classes
from synthmodel.model import noise
from synthmodel.model.losses import CrossEntropy, Margin, SmoothedMargin, SoftTargetMargin, WrongClassLSE
from synthmodel.model.setting import Setting
from synthmodel.solvers import line_integrals, log_sum_exp, margin_closed, plane_integrals
from synthmodel.solvers import solve as solver

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[1] / "reference"
ENTRIES = json.loads((FOLDER / "reference.json").read_text())

# Relative, and the same for all: formulas in doubles, and equations that the package solves and integrates to the last
# bits. (Its solvers accept weights settled to 1e-8 only, but far from eps = mu/2 they do far better.)
TOLERANCE = 1e-12


# The package's number or numbers for the names of the JSON, from the parameters q of an entry

def setting(q):
    """k means mu = k, sigma = 1, so that a weight is in units of the noise."""
    fields = {name: q[name] for name in ("mu", "sigma", "sigma_e", "sigma_c", "rho", "noise", "classes", "design")
              if name in q}
    return Setting(**fields, **({"mu": q["k"], "sigma": 1} if "k" in q else {}), norm=q.get("p", np.inf))


def threshold(q, loss):
    return solver.threshold(setting(q), loss)


def solution(q, loss):
    return synthmodel.solve(setting(q), loss, q.get("eps", 0), q["L"] if "L" in q else q["lam"])


def weights(q, loss):
    found = solution(q, loss)
    return found.w1, found.w2


def accuracies(q):
    return synthmodel.accuracy_of(setting(q), q["r"], q.get("eps", 0))


def best(q):
    return synthmodel.best_ratio(setting(q), q.get("eps", 0))


def d1_path(k):
    return [three_classes.joint_accuracy(r, k) for r in (1, three_classes.r_acc(k), margin_closed.ratio_closed(k))]


CASES = [
    ("e_n", lambda q: noise.law("normal").mean_largest(int(q["n"]))),
    ("eps0", lambda q: margin_closed.eps0(setting(q))),
    ("eps1", lambda q: margin_closed.eps1(setting(q), q["b"])),
    ("eps0_classes", lambda q: threshold(q, Margin())),
    ("eps0_correlated", lambda q: threshold(q, Margin())),
    ("eps0_noise", lambda q: threshold(q, Margin())),
    ("eps0_soft_target", lambda q: threshold(q, SoftTargetMargin(q["b"], q["attack"]))),
    ("margin_w1 margin_w2", lambda q: weights(q, SmoothedMargin(q["b"]))),
    ("soft_target_w1 soft_target_w2", lambda q: weights(q, SoftTargetMargin(q["b"], q["attack"]))),
    ("lp_w1 lp_w2", lambda q: weights(q, Margin())),
    ("lp_classes_w1 lp_classes_w2", lambda q: weights(q, Margin())),
    ("joint", lambda q: three_classes.joint_accuracy(q["r"], q["k"])),
    ("pairwise", lambda q: three_classes.pairwise_accuracy(q["r"], q["k"])),
    ("r_acc", lambda q: three_classes.r_acc(q["k"])),
    ("b_star", lambda q: three_classes.b_star(q["k"])),
    ("crossover", lambda q: three_classes.crossover()),
    ("d1_start d1_peak d1_end", lambda q: d1_path(q["k"])),
    ("joint_classes", lambda q: accuracies(q)[0]),
    ("pairwise_classes", lambda q: accuracies(q)[1]),
    ("r_acc_classes", best),
    ("joint_pair", lambda q: accuracies(q)[0]),
    ("r_acc_pair", best),
    ("joint_noise", lambda q: accuracies(q)[0]),
    ("r_acc_noise", best),
    ("psi", lambda q: log_sum_exp.psi_pair(q["x"])[0]),
    ("psi_classes", lambda q: log_sum_exp.psi(q["x"], int(q["n"]), noise.law("normal"))),
    ("lse_w1 lse_w2", lambda q: weights(q, WrongClassLSE(q["tau"]))),
    ("ce_v1 ce_v2", lambda q: weights(q, CrossEntropy(q["b"]))),
    ("ce_risk", lambda q: solution(q, CrossEntropy(q["b"])).risk),
    ("ce_classes_v1 ce_classes_v2", lambda q: weights(q, CrossEntropy(q["b"]))),
    ("ce_pair_w1 ce_pair_w2", lambda q: weights(q, CrossEntropy(q["b"]))),
]
UNUSED = {"C1"}  # a constant of a proof, no function of the package


def cases(*names):
    """(name, function, parameters, value, place) of the entries called one of `names`, of all without names.

    The value is the number at `place` of those that the function returns.
    """
    for words, function in CASES:
        for place, name in enumerate(words.split()):
            for entry in ENTRIES:
                if entry["name"] == name and (not names or name in names):
                    yield name, function, entry["parameters"], entry["value"], place


def error(function, parameters, value, place):
    """Relative error of the package's number; absolute where the value is 0."""
    q = {key: float(Fraction(text)) if text[0].isdigit() else text for key, text in parameters.items()}
    number = np.ravel(function(q))[place]
    with mp.workdps(50):
        return float(abs(mpf(float(number)) - mpf(value)) / (abs(mpf(value)) or 1))


def label(case):
    return "-".join([case[0], *case[2].values()])


@pytest.mark.parametrize("case", list(cases()), ids=label)
def test_package(case):
    assert error(*case[1:]) <= TOLERANCE


def test_every_value_is_used():
    assert {case[0] for case in cases()} | UNUSED == {entry["name"] for entry in ENTRIES}
    assert len(list(cases())) + len(UNUSED) == len(ENTRIES)


# Tests of the tests: planted errors

@pytest.mark.parametrize("planted", [1e-2, 1e-10])
def test_planted_errors_are_caught(planted):
    """In any number of the package."""
    def spoilt(function):
        return lambda q: np.asarray(function(q)) * (1 + planted)

    for name, function, parameters, value, place in cases():
        assert value == "0" or error(spoilt(function), parameters, value, place) > TOLERANCE, (name, parameters)


def scaled(value, factor):
    """`value` times the factor: a number, an array, or what a function returns (the weights, if nodes and weights)."""
    if not callable(value):
        return value * factor

    def spoilt(*arguments, **options):
        result = value(*arguments, **options)
        return (result[0], result[1] * factor) if isinstance(result, tuple) else result * factor
    return spoilt


PLANTS = [
    (margin_closed, "GAP", "eps0 eps1 eps0_correlated eps0_soft_target margin_w2 soft_target_w2 lp_w1 lp_w2"),
    (three_classes, "owens_t", "joint d1_start d1_peak"),
    (three_classes, "_imr", "r_acc b_star"),
    (any_setting, "ndtr", "joint_classes pairwise_classes"),
    (log_sum_exp, "HALF_WEIGHTS", "psi lse_w2"),
    (line_integrals, "normal_rule", "psi_classes ce_classes_v1 ce_classes_v2"),
    (plane_integrals, "normal_rule", "ce_v1 ce_v2 ce_risk ce_pair_w1 ce_pair_w2"),
]


@pytest.mark.parametrize("planted", [1e-2, 1e-10])
@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: f"{plant[0].__name__}.{plant[1]}")
def test_planted_errors_inside_the_package_are_caught(monkeypatch, plant, planted):
    """In a constant, a function, or the weights of a quadrature: one number of each kind that rests on it is off."""
    module, attribute, names = plant
    monkeypatch.setattr(module, attribute, scaled(getattr(module, attribute), 1 + planted))
    for name in names.split():
        assert any(error(*case[1:]) > TOLERANCE for case in cases(name)), name


# The reference values among themselves: closed forms, and the same number by two integrals

def reference(name, **parameters):
    """The value of the entry of that name and those parameters."""
    with mp.workdps(50):
        return next(mpf(entry["value"]) for entry in ENTRIES
                    if entry["name"] == name and entry["parameters"] == parameters)


def identities():
    """(label, reference value, the same number by a formula), at 50 digits."""
    half, pi = mpf(1) / 2, mp.pi
    for n, formula in ((1, 0), (2, 1 / mp.sqrt(pi)), (3, 3 / (2 * mp.sqrt(pi))),
                       (4, 6 / pi**1.5 * mp.atan(mp.sqrt(2))),
                       (5, 5 / (4 * mp.sqrt(pi)) + 15 / (2 * pi**1.5) * mp.asin(mpf(1) / 3))):
        yield f"e_{n}", reference("e_n", n=str(n)), mpf(formula)
    yield "T1", reference("eps0", mu="1", sigma="1/2"), half - half / (2 * mp.sqrt(pi))
    yield "T3", reference("eps1", mu="1", sigma="1/2", b="1/10"), half - mpf(9) / 10 / (4 * mp.sqrt(pi))
    yield "rho", reference("eps0_correlated", mu="1", sigma="1/2", rho="3/10"), half - mp.sqrt(mpf(7) / 10 / pi) / 4
    gini = {"normal": 2 / mp.sqrt(pi), "laplace": 3 / mp.sqrt(8), "logistic": 2 * mp.sqrt(3) / pi,
            "uniform": 2 / mp.sqrt(3), "student-t:5": 35 * mp.sqrt(3) / (18 * pi)}
    for noise_law, mean in gini.items():
        yield noise_law, reference("eps0_noise", noise=noise_law, mu="1", sigma="1/2"), half - mean / 8
    numerator = mpf(9) / 10 - half / mp.sqrt(pi)
    for attack, denominator in (("monotone", 2 - mpf(2) / 10), ("exact", 2 - mpf(1) / 10)):
        yield attack, reference("eps0_soft_target", mu="1", sigma="1/2", b="1/10", attack=attack), (
            numerator / denominator)
    yield "r = 0", reference("joint", r="0", k="6/5"), mp.ncdf(mpf(6) / 5)
    yield "T2-pair", reference("pairwise", r="1/2", k="6/5"), mp.ncdf(mpf(6) / 5 * mpf(3) / mp.sqrt(5))
    for name in ("joint", "r_acc"):
        rest = {"k": "6/5", **({"r": "1/2"} if name == "joint" else {})}
        yield f"{name} by densities", reference(f"{name}_noise", noise="normal", **rest), reference(name, **rest)
    yield "psi by a Laplace transform", reference("psi_classes", x="1", n="2"), reference("psi", x="1")
    problem = {"k": "1", "L": "2/5", "b": "0"}
    for v in ("v1", "v2"):
        yield f"{v} of cross-entropy by a Laplace transform", (
            reference(f"ce_classes_{v}", **problem, classes="3", design="A")), reference(f"ce_{v}", **problem)
    l2 = {"mu": "1", "sigma": "1/2", "eps": "1/5", "lam": "1/10", "p": "2"}
    yield "l2", reference("lp_w2", **l2) / reference("lp_w1", **l2), 1 - half / mp.sqrt(pi)


def test_references_agree_among_themselves():
    with mp.workdps(50):
        for name, value, formula in identities():
            assert abs(value - formula) <= mpf(10) ** -39 * max(abs(formula), 1), (name, value, formula)


def slope_factor(r, k_e, k_c):
    """F of THEORY.md, T2-unequal, in standardised units (r = w2 s_C/(w1 s_E)), relative to its first term at r = 0."""
    u = r * (k_e + r * k_c) / mp.sqrt((1 + r**2) * (2 + r**2))
    imr = mp.npdf(u) / mp.ncdf(u)
    return (k_c - r * k_e) * mp.sqrt((2 + r**2) / (1 + r**2)) - imr


def test_best_ratios_are_roots_of_the_theorem():
    """T2-joint', at equal and at unequal noise, at 40 digits; and 1e-30 off they are not."""
    with mp.workdps(50):
        found = [(reference("r_acc", k=entry["parameters"]["k"]), mpf(entry["parameters"]["k"]), None)
                 for entry in ENTRIES if entry["name"] == "r_acc"]
        assert len(found) == 8
        roots = [(r, k, k) for r, k, _ in found]
        s_e, s_c, d = mpf(7) / 20, mpf(3) / 5, mpf(3) / 5
        r = reference("r_acc_pair", mu="1", sigma_e="7/20", sigma_c="3/5", rho="0", eps="1/5")
        roots.append((r * s_c / s_e, d / s_e, d / s_c))
        for root, k_e, k_c in roots:
            assert abs(slope_factor(root, k_e, k_c)) <= mpf(10) ** -37
            assert abs(slope_factor(root * (1 + mpf(10) ** -30), k_e, k_c)) > mpf(10) ** -32


def test_best_ratios_of_more_classes_are_roots_of_the_theorem():
    """T2-joint-K (section 5) in design A: k (c-q) = (n-1) c E[phi(k-cT) Phi(k-cT)^(n-2)]/E[Phi(k-cT)^(n-1)]."""
    tried = 0
    for entry in ENTRIES:
        q = entry["parameters"]
        if entry["name"] != "r_acc_classes" or q["design"] != "A":
            continue
        with mp.workdps(30):
            k, n, r = mpf(q["k"]), int(q["classes"]) - 1, mpf(entry["value"])
            c = 1 / mp.sqrt(1 + r * r)
            centre = k * (c - r * c)

            def mean(power, density, k=k, c=c, centre=centre):
                def integrand(t):
                    z = k - c * t
                    return mp.npdf(t - centre) * mp.ncdf(z) ** power * (mp.npdf(z) if density else 1)
                return mp.quad(integrand, mp.linspace(centre - 12, centre + 12, 9))
            assert abs(centre - (n - 1) * c * mean(n - 2, True) / mean(n - 1, False)) <= mpf(10) ** -25
            tried += 1
    assert tried == 3


# The script

def test_the_script_shares_no_code():
    allowed = {*sys.stdlib_module_names, "mpmath", *(path.stem for path in FOLDER.glob("*.py"))}
    for path in FOLDER.glob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        imported = {alias.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        imported |= {node.module.split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
        assert imported <= allowed, path


def test_the_script_makes_the_stored_values(monkeypatch):
    """Its table is that of the JSON, and its quick rows give the stored strings."""
    monkeypatch.syspath_prepend(str(FOLDER))
    script = importlib.import_module("reference")
    listed = [(name, parameters) for names, _, parameters in script.rows() for name in names]
    assert listed == [(entry["name"], entry["parameters"]) for entry in ENTRIES]
    quick = {"eps1", "eps0_soft_target", "joint", "psi", "lp_w1", "C1"}
    made = [entry for row in script.rows() if row[0][0] in quick for entry in script.confirmed(*row)[0]]
    stored = [entry for entry in ENTRIES if entry["name"] in {*quick, "lp_w2"}]
    assert made == stored


def test_the_script_refuses_disagreement(monkeypatch):
    """A rule that is a little off is noticed."""
    monkeypatch.syspath_prepend(str(FOLDER))
    script = importlib.import_module("reference")
    with pytest.raises(RuntimeError, match="agree to 41 digits only"):
        script.confirmed(["off"], lambda rule: 3 + 2 * mpf(10) ** -41 * rule.panels, {})
    assert script.confirmed(["fair"], lambda rule: 3 + 2 * mpf(10) ** -42 * rule.panels, {})[1] == 42
