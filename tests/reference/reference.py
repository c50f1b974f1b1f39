"""Reference values of the theory to 40 digits: `python tests/reference/reference.py` writes reference.json beside it.

mpmath and the standard library only: no code of the package, and none of the formulas derived in it, is used. Each
value is an integral of the data law, or the root or minimiser of one. It is computed twice, with 60 and with 78
digits and by two rules (quadrature.py), and kept if both agree to 42 digits; the agreement is printed. About ten
minutes on one core, nearly all of them for cross-entropy with more than three classes or unequal noise.
"""

import json
import time
from pathlib import Path

from mpmath import mp, mpf
from quadrature import RULES
from quantities import (
    b_star,
    best,
    best_noise,
    constant_c1,
    crossover,
    e_n,
    eps0_correlated,
    eps0_noise,
    equal,
    joint,
    joint_noise,
    lp_margin,
    margin,
    pair_law,
    path,
    soft_target,
)
from smooth import (
    cross_entropy,
    cross_entropy_any,
    cross_entropy_risk,
    psi,
    psi_classes,
    wrong_class_lse,
)

DIGITS, AGREEMENT = 40, 42
OUTPUT = Path(__file__).with_name("reference.json")
KS = "3/5 4/5 1 6/5 3/2 2 3 5".split()
NOISES = "normal", "laplace", "logistic", "uniform", "student-t:5"


def classes_law(k, classes, design):
    return equal(k, int(classes), design)


def one_rival(law):
    """The law of one margin alone: the joint accuracy against one wrong class is the pairwise one."""
    return law._replace(wrong=1)


# (names of the numbers that the function returns, the function of (rule, parameters), the names of the parameters,
# their values: one string a case, in lowest terms)
TABLE = [
    ("e_n", lambda rule, n: e_n(rule, int(n)), "n", [str(n) for n in (*range(1, 10), 99)]),
    ("eps0", lambda rule, mu, sigma: margin(rule, mu, sigma, 0), "mu sigma",
     ["1 1/2", "1 6/5", "2 1/3", "7/10 1/10"]),
    ("eps1", margin, "mu sigma b", ["1 1/2 1/10", "1 6/5 1/2", "2 1/3 9/10", "7/10 1/10 1/100"]),
    ("eps0_classes", lambda rule, mu, sigma, K, design: margin(rule, mu, sigma, 0, int(K), design),
     "mu sigma classes design", ["1 1/2 4 A", "1 1/2 10 A", "1 1/2 100 A", "1 1/2 4 B", "1 1/2 10 B", "1 1/2 100 B"]),
    ("margin_w1 margin_w2",
     lambda rule, mu, sigma, b, K, design, eps, lam: margin(rule, mu, sigma, b, int(K), design, eps, lam),
     "mu sigma b classes design eps lam",
     ["1 1/2 0 3 A 1/5 1/10", "2 1 3/10 3 A 3/5 2", "1 1/2 0 10 A 1/10 1/10", "1 1/2 0 10 B 1/5 1/10"]),
    ("eps0_correlated", eps0_correlated, "mu sigma rho", ["1 1/2 3/10", "2 1 9/10"]),
    ("eps0_noise", eps0_noise, "noise mu sigma", [*(f"{noise} 1 1/2" for noise in NOISES), "student-t:5 2 4/5"]),
    ("eps0_soft_target", soft_target, "mu sigma b attack",
     ["1 1/2 1/10 monotone", "1 1/2 1/10 exact", "2 1 2/5 monotone", "2 1 2/5 exact"]),
    ("soft_target_w1 soft_target_w2", soft_target, "mu sigma b attack eps lam",
     ["1 1/2 1/10 monotone 1/5 1/10", "1 1/2 1/10 exact 1/5 1/10", "2 1 2/5 exact 1/10 3"]),
    ("joint", lambda rule, r, k: joint(rule, equal(k), r), "r k",
     ["0 6/5", "1/2 6/5", "1 1", "1/10 1/5", "2 3", "3/10 3/5", "4/5 5"]),
    ("pairwise", lambda rule, r, k: joint(rule, one_rival(equal(k)), r), "r k", ["1/2 6/5", "2 3"]),
    ("r_acc", lambda rule, k: best(rule, equal(k)), "k", KS),
    ("b_star", b_star, "k", KS),
    ("crossover", crossover, "", [""]),
    ("d1_start d1_peak d1_end", path, "k", ["1"]),
    ("joint_classes", lambda rule, r, *law: joint(rule, classes_law(*law), r), "r k classes design",
     ["1/2 2 4 A", "1/2 2 10 A", "1/2 1 4 B", "1/5 1 10 B"]),
    ("r_acc_classes", lambda rule, *law: best(rule, classes_law(*law)), "k classes design",
     ["11/10 4 A", "2 4 A", "2 10 A", "1 4 B", "2 4 B", "1/2 10 B", "1 10 B"]),
    ("pairwise_classes", lambda rule, r, *law: joint(rule, one_rival(classes_law(*law)), r), "r k classes design",
     ["1/2 2 10 A", "1/5 1 10 B"]),
    ("joint_pair", lambda rule, r, *law: joint(rule, pair_law(*law), r), "r mu sigma_e sigma_c rho eps",
     ["2/5 1 7/20 3/5 0 1/5", "1/2 1 1/2 1/2 3/10 1/5"]),
    ("r_acc_pair", lambda rule, *law: best(rule, pair_law(*law)), "mu sigma_e sigma_c rho eps",
     ["1 7/20 3/5 0 1/5", "1 1/2 1/2 3/10 1/5", "1 1/2 2/5 1/5 1/4"]),
    ("joint_noise", joint_noise, "noise k r", [f"{noise} 6/5 1/2" for noise in NOISES]),
    ("r_acc_noise", best_noise, "noise k", [f"{noise} 6/5" for noise in NOISES]),
    ("lp_w1 lp_w2", lp_margin, "mu sigma eps lam p",
     ["1 1/2 1/5 1/10 2", "1 1/2 1/5 1/10 3", "1 1/2 1/5 1/10 3/2", "2 1 1/2 3 3"]),
    ("lp_classes_w1 lp_classes_w2",
     lambda rule, mu, sigma, eps, lam, p, K, design: lp_margin(rule, mu, sigma, eps, lam, p, int(K), design),
     "mu sigma eps lam p classes design", ["1 1/2 1/5 1/10 3 4 A", "1 1/2 1/5 1/10 3 10 B", "1 1/2 1/5 1/10 3/2 10 B"]),
    ("C1", constant_c1, "", [""]),
    ("psi", psi, "x", ["1/100", "1/2", "1", "3", "10"]),
    ("psi_classes", psi_classes, "x n", ["1/2 2", "1 2", "1 9", "3 9"]),
    ("lse_w1 lse_w2", wrong_class_lse, "mu sigma eps lam tau",
     ["1 1/2 1/5 1/10 1", "1 1/2 1/5 1/10 1/10", "1 1/2 2/5 1/10 1", "2 1 1/2 1 1/2"]),
    ("ce_v1 ce_v2", cross_entropy, "k L b",
     ["1/5 2/5 0", "1 2/5 0", "1 2/5 1/10", "1 1/100 0", "1 10 1/10", "6/5 2/5 0", "5/2 2/5 0", "5/2 10 1/10",
      "1/5 1/100 1/10"]),
    ("ce_risk", cross_entropy_risk, "k L b", ["1 2/5 1/10"]),
    ("ce_classes_v1 ce_classes_v2", lambda rule, k, L, b, *law: cross_entropy_any(rule, classes_law(k, *law), L, b),
     "k L b classes design", ["1 2/5 0 3 A", "1 2/5 0 10 A", "1 2/5 1/10 10 A", "1 2/5 0 4 B"]),
    ("ce_pair_w1 ce_pair_w2", lambda rule, lam, b, *law: cross_entropy_any(rule, pair_law(*law), lam, b),
     "lam b mu sigma_e sigma_c rho eps", ["1/10 0 1 7/20 3/5 0 1/5", "1/10 0 1 1/2 1/2 3/10 1/5"]),
]


def rows():
    """(names, function, parameters) of every case of the table."""
    for names, function, fields, cases in TABLE:
        for case in cases:
            yield names.split(), function, dict(zip(fields.split(), case.split(), strict=True))


def evaluate(rule, function, parameters):
    """The numbers of one case as a list, by one rule."""
    with mp.workdps(rule.digits):
        texts = parameters.values()
        value = function(rule, *(mpf(text) if text[0].isdigit() else text for text in texts))
        return list(value) if isinstance(value, list | tuple) else [value]


def agreement(x, y):
    """Digits to which x and y agree, relative to their size (absolutely below 1: they may be 0)."""
    with mp.workdps(RULES[-1].digits):
        error = abs(x - y) / (abs(y) if abs(y) > mpf(10) ** -AGREEMENT else 1)
        return int(-mp.log10(error)) if error else RULES[0].digits


def confirmed(names, function, parameters):
    """Entries of one case and the digits to which both rules agree; RuntimeError for fewer than 42."""
    first, second = (evaluate(rule, function, parameters) for rule in RULES)
    digits = min(agreement(x, y) for x, y in zip(first, second, strict=True))
    if digits < AGREEMENT:
        raise RuntimeError(f"{names} at {parameters}: the two rules agree to {digits} digits only")
    with mp.workdps(RULES[-1].digits):
        texts = [mp.nstr(y, DIGITS) if abs(y) > mpf(10) ** -AGREEMENT else "0" for y in second]
    return [{"name": name, "parameters": parameters, "value": text}
            for name, text in zip(names, texts, strict=True)], digits


def main():
    entries = []
    for names, function, parameters in rows():
        start = time.perf_counter()
        found, digits = confirmed(names, function, parameters)
        entries += found
        for entry in found:
            print(entry["name"], *(f"{key}={text}" for key, text in parameters.items()), "=", entry["value"],
                  f"({digits} digits agree, {time.perf_counter() - start:.1f} s)", flush=True)
    OUTPUT.write_text(json.dumps(entries, indent=1) + "\n")


if __name__ == "__main__":
    main()
