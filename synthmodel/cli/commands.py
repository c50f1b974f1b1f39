"""What each command of `synthmodel` computes: options in, a dictionary or a list of dictionaries out."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from synthmodel.accuracy.any_setting import accuracy_of, best_ratio, best_smoothing
from synthmodel.accuracy.bayes import bayes_error, exclusive_error
from synthmodel.accuracy.three_classes import b_star, r_acc
from synthmodel.model.losses import Margin, SmoothedMargin, SoftTargetMargin, WorstMargin, loss_named
from synthmodel.model.setting import Setting, checked
from synthmodel.solvers.margin_closed import eps0, eps1, eps_max, ratio_closed
from synthmodel.solvers.solve import solve, threshold
from synthmodel.system.progress import tracked

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from jaxtyping import Float

__all__ = ["COMMANDS"]

MOST_POINTS = 100_000  # of a curve


def setting_of(options: Namespace) -> Setting:
    return Setting(options.mu, options.sigma, options.mu_e, options.mu_c, options.sigma_e, options.sigma_c,
                   options.rho, options.noise, options.classes, options.design, options.norm)


def loss_of(options: Namespace) -> Any:
    teacher = options.teacher
    if teacher is not None:
        teacher = tuple(teacher.split(","))
    return loss_named(options.loss, b=options.b, tau=options.tau, attack=options.attack, teacher=teacher,
                      teacher_input=options.teacher_input)


def solved(setting: Setting, loss: Any, options: Namespace, eps: Float[np.ndarray, "n"]) -> list[dict[str, Any]]:
    """The rows of `solve` and `curve` at the attack sizes eps (an array)."""
    solution = solve(setting, loss, eps, options.lam, options.method, lam_e=options.lam_e, lam_c=options.lam_c,
                     penalty=options.penalty)
    rows = []
    for i, size in enumerate(eps):
        ratio: float | None
        ratio = float(solution.ratio[i])
        joint = pairwise = None
        if np.isfinite(ratio):
            with suppress(ValueError):  # the weights of a setting may be known where its accuracy is not
                joint, pairwise = accuracy_of(setting, ratio, size)
        else:  # With w1 = 0 every score may tie: there is no classifier whose accuracy could be told.
            ratio = None
        rows.append({"w1": float(solution.w1[i]), "w2": float(solution.w2[i]), "ratio": ratio,
                     "risk": float(solution.risk[i]), "joint_accuracy": joint, "pairwise_accuracy": pairwise,
                     "residual": float(solution.residual[i]),
                     "error": float(np.broadcast_to(solution.error, len(eps))[i]), "method": solution.method})
    return rows


def weights_alone(setting: Setting, options: Namespace | None = None) -> bool:
    """Whether decay on (w1, w2) is no decay on a general W: in design B beyond three classes (N2-B)."""
    own = options and (options.penalty != "weights" or options.lam_e or options.lam_c)
    return setting.design == "B" and setting.classes > 3 and not own


def run_solve(options: Namespace) -> dict[str, Any]:
    setting, loss = setting_of(options), loss_of(options)
    row = solved(setting, loss, options, np.array([checked("eps", options.eps, least=0, single=True)]))[0]
    return row | ({"decay": "on (w1, w2) alone: no general W with decay on its entries has these weights"}
                  if weights_alone(setting, options) else {})


def run_thresholds(options: Namespace) -> dict[str, Any]:
    setting, found = setting_of(options), {}
    if options.loss == "margin" and options.b is not None:  # a smoothing alone asks for eps1 beside eps0
        found, options.b = {"eps1": eps1(setting, options.b)}, None
    loss = loss_of(options)
    if options.loss != "margin":
        found = {"threshold": threshold(setting, loss)}
    margins = isinstance(loss, Margin | SmoothedMargin | SoftTargetMargin)
    if margins or isinstance(loss, WorstMargin):  # eps0 belongs to the losses of the least margin alone
        found = {"eps0": eps0(setting)} | found
    found["eps_max"] = eps_max(setting, loss) if margins else eps_max(setting)
    dead = " and ".join(name for name in ("eps0", "eps1", "threshold") if found.get(name, 1.0) <= 0)
    return found | ({"note": f"{dead} not above 0: so much noise that w2 = 0 at every attack size, even without an "
                             "attack"} if dead else {})


def run_accuracy(options: Namespace) -> dict[str, Any]:
    joint, pairwise = accuracy_of(setting_of(options), checked("ratio", options.ratio, least=0), options.eps)
    return {"joint": joint, "pairwise": pairwise}


def run_best(options: Namespace) -> dict[str, Any]:
    setting = setting_of(options)
    eps = checked("eps", options.eps, least=0, below=eps_max(setting))  # from mu/2 on no weight is left
    equal = setting.mu_e == setting.mu_c and setting.sigma_e == setting.sigma_c
    if setting.plain and equal:  # in closed form, where differences are too small to see otherwise
        k = setting.k(eps)
        best = r_acc(k)
        found = {"k": k, "r_at": ratio_closed(k), "r_acc": best, "b_star": b_star(k) if best > 0 else None}
        return noted(found | accuracies(found, setting, eps), setting)
    used = solve(setting, loss_named("margin"), eps, 1.0).ratio
    smoothing = best_smoothing(setting, eps) if setting.norm == np.inf else None
    reached = smoothing is not None and 0 <= smoothing < 1  # else no smoothing has the best ratio
    best = best_ratio(setting, eps)
    flat = accuracy_of(setting, best, eps)[0] == accuracy_of(setting, used or 0.0, eps)[0] == 1  # no ratio is better
    found = {"k": setting.k(eps) if equal else None, "r_at": used, "r_acc": None if flat else best,
             "b_star": smoothing if reached and not flat else None}
    if weights_alone(setting) and setting.norm == np.inf:
        matrix = best_smoothing(setting, eps, decay="matrix")
        found |= {"r_at_matrix": (used or 0.0) / setting.sharing,
                  "b_star_matrix": matrix if matrix is not None and 0 <= matrix < 1 and not flat else None}
    return noted(found | accuracies(found, setting, eps), setting) | ({
        "decay": "r_at, b_star: on (w1, w2) alone, as no general W has; r_at_matrix, b_star_matrix: on every entry of "
                 "W (N2-B)"} if weights_alone(setting) else {})


def accuracies(found: dict[str, Any], setting: Setting, eps: float) -> dict[str, float | None]:
    """The robust accuracy at the ratio of the margin loss and at the best one, where there is one."""
    return {f"accuracy_{name}": None if found[name] is None else float(accuracy_of(setting, found[name], eps)[0])
            for name in ("r_at", "r_acc")}


def noted(found: dict[str, Any], setting: Setting) -> dict[str, Any]:
    """What `best` has found, with a note of why k, r_acc or b_star is None."""
    notes = ["k: of equal means and deviations alone"] if found["k"] is None else []
    if found["r_acc"] is None:
        notes.append("r_acc: every ratio is right always, as far as can be told")
    elif found["b_star"] is None:
        more = (found["r_at"] or 0.0) > found["r_acc"]
        notes.append("b_star: " + ("the best ratio is 0" if found["r_acc"] == 0
                                   else "known for norm inf alone" if setting.norm != np.inf
                                   else "the margin loss has more than r_acc without smoothing" if more
                                   else "no smoothing reaches r_acc"))
    return found | ({"note": "; ".join(notes)} if notes else {})


def run_bayes(options: Namespace) -> dict[str, Any]:
    setting = setting_of(options)
    eps, two, ratio = checked("eps", options.eps, least=0, single=True), None, None
    found = {"bayes_error": bayes_error(setting, eps), "exclusive_error": exclusive_error(setting, eps)}
    with suppress(ValueError):  # from eps_max on no ratio is best, and some settings have no accuracy
        ratio = best_ratio(setting, eps) if eps < eps_max(setting) else None
        two = None if ratio is None else float(1 - accuracy_of(setting, ratio, eps)[0])
    return found | {"two_weights_error": two, "two_weights_ratio": ratio}


def run_curve(options: Namespace) -> list[dict[str, Any]]:
    setting, loss = setting_of(options), loss_of(options)
    words = options.eps or f"0:{eps_max(setting)}:101"
    try:
        start, stop, count = words.split(":")
        count = int(count)
    except ValueError:
        raise ValueError(f"eps = {words} was given, but a curve needs START:STOP:COUNT: write 0:0.5:101.") from None
    start, stop = checked("eps", start, least=0), checked("eps", stop, least=0)
    if not 2 <= count <= MOST_POINTS or stop <= start:
        raise ValueError(f"eps = {words} was given, but a curve needs STOP > START and a COUNT from 2 to "
                         f"{MOST_POINTS}: write 0:0.5:101.")
    eps = start + (stop - start) * np.arange(count) / (count - 1)
    equal = setting.mu_e == setting.mu_c and setting.sigma_e == setting.sigma_c
    rows = []
    for size, row in zip(eps.tolist(), solved(setting, loss, options, eps), strict=True):
        best = None
        with suppress(ValueError):  # from eps_max on no ratio helps
            best = best_ratio(setting, size) if size < eps_max(setting) else None
        rows.append({"eps": size, "k": setting.k(size) if equal else None} | row | {"r_acc": best}
                    | ({"decay": "on (w1, w2) alone"} if weights_alone(setting, options) else {}))
    return rows


def run_verify(options: Namespace) -> list[dict[str, Any]]:
    import os

    from synthmodel.claims.theory import claims_named
    from synthmodel.claims.verify import verify
    claims = claims_named(options.claims)
    workers = min(4, os.cpu_count() or 1, 1 + len(claims) // 8)  # a process takes seconds to begin
    return [row.as_dict() for row in tracked(verify(claims, workers=workers), "verifying", len(claims))]


def run_claims(options: Namespace) -> list[dict[str, Any]]:
    from synthmodel.claims.plain import with_words
    from synthmodel.claims.registry import CLAIMS
    return [with_words(claim) for claim in CLAIMS]


def run_explain(options: Namespace) -> dict[str, Any]:
    from synthmodel.claims.at_setting import Point
    from synthmodel.claims.theory import claim_named, is_claim
    from synthmodel.cli.explain import explanation, picture, words_of_picture
    from synthmodel.cli.lookup import answer, tidy
    words = tidy(" ".join(options.words))
    point = Point(**{name: getattr(options, name) for name in ("mu", "sigma", "eps", "b", "lam")})
    if not is_claim(words):
        if options.out is not None:
            raise ValueError(f"--out = {options.out} was given, but {words[:40]!r} is no claim, and only claims have "
                             "pictures: leave --out away.")
        return answer(words, point)
    claim = claim_named(words)
    if options.out is not None:
        words_of_picture(claim.id, picture(claim, point), options.out)  # refuses before anything is computed
    return explanation(claim, point)


def run_derive(options: Namespace) -> dict[str, Any] | list[dict[str, Any]]:
    from synthmodel.claims.theory import claims_named
    from synthmodel.cli.derivations import derived
    found = [derived(claim) for claim in claims_named(options.claims)]
    return found[0] if len(found) == 1 else found


def run_certify(options: Namespace) -> list[dict[str, Any]]:
    from synthmodel.certificates import CERTIFICATES, certify, enclose
    if options.enclose:
        name, *numbers = options.enclose
        try:
            values = dict(word.split("=") for word in numbers)
        except ValueError:
            raise ValueError(f"--enclose {' '.join(options.enclose)} was given, but it takes a name and KEY=VALUE "
                             "pairs: write --enclose r_acc k=6/5.") from None
        found = enclose(name, digits=options.digits, **values)
        return [{"name": name, **values, "enclosure": found.str(options.digits)}]
    group = "long" if options.long else "search" if options.search else "short"
    rows = tracked(certify(group), "checking certificates", sum(one.group == group for one in CERTIFICATES))
    return [{"claim": row.claim, "statement": row.statement, "region": row.region, "boxes": row.boxes,
             "seconds": row.seconds, "outcome": row.outcome, "holds": row.holds} for row in rows]


def run_table(options: Namespace | None) -> list[dict[str, Any]] | list[dict[str, str]]:
    if options is not None and getattr(options, "readings", False):
        from synthmodel.claims.reading_table import reading_table
        return reading_table(tracked)
    from synthmodel.claims.statement_table import LOSSES, table
    return [{"statement": statement} | {name: row.get(name, row.get("any loss", "")) for name in LOSSES}
            for statement, row in table(tracked).items()]


def run_bench(options: Namespace) -> dict[str, Any]:
    from synthmodel.cli.benchmark import MEASUREMENTS, bench
    return dict(tracked(bench(), "measuring", len(MEASUREMENTS)))


COMMANDS: dict[str, Callable[[Namespace], Any]] = {
    "solve": run_solve, "thresholds": run_thresholds, "accuracy": run_accuracy, "best": run_best, "bayes": run_bayes,
    "curve": run_curve, "verify": run_verify, "derive": run_derive, "certify": run_certify, "bench": run_bench,
    "table": run_table, "claims": run_claims, "explain": run_explain}
