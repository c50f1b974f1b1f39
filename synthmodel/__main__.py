"""The command line of `synthmodel`. It may import anything, when it is needed; nothing imports it."""

import argparse
import csv
import json
import os
import sys

from synthmodel.accuracy import b_star, joint_accuracy, pairwise_accuracy, r_acc
from synthmodel.closed import eps0, eps1, eps_max, ratio_closed
from synthmodel.command_line import OneSentenceParser
from synthmodel.losses import loss_named
from synthmodel.setting import Setting, checked
from synthmodel.solution import NotConverged
from synthmodel.solver import solve

__all__ = ["main"]

MOST_POINTS = 100_000  # of a curve


def parser():
    top = OneSentenceParser(prog="synthmodel", description="Cross-class features in adversarial training: the "
                            "three-class linear Gaussian model, solved and checked.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    # Numbers are read as text, so that the library's own sentence answers a bad one.
    model = argparse.ArgumentParser(add_help=False)
    model.add_argument("--mu", default="1", help="mean of an active feature (default: 1)")
    model.add_argument("--sigma", default="0.5", help="its standard deviation (default: 0.5)")
    output = argparse.ArgumentParser(add_help=False)
    output.add_argument("--json", action="store_true", help="print JSON")
    training = argparse.ArgumentParser(add_help=False)
    training.add_argument("--lam", default="0.1", help="weight decay lam (default: 0.1)")
    training.add_argument("--loss", default="margin", help="margin, smoothed-margin or cross-entropy (default: margin)")
    training.add_argument("--b", help="smoothing: 1-b on the true class, b/2 on each other")
    training.add_argument("--method", default="auto", help="closed, numeric or auto (default: auto)")

    def command(name, parents, text, output=output):
        parents = [*parents, output] if output else parents
        return commands.add_parser(name, parents=parents, help=text, description=text[0].upper() + text[1:])

    solved = command("solve", [model, training], "the optimal robust weights for one attack size")
    solved.add_argument("--eps", required=True, help="attack size, >= 0")
    command("thresholds", [model], "the attack sizes at which weights die").add_argument("--b", help="smoothing")
    accuracy = command("accuracy", [model], "robust accuracy of a ratio w2/w1")
    accuracy.add_argument("--eps", required=True)
    accuracy.add_argument("--ratio", required=True, help="w2/w1, >= 0")
    command("best", [model], "the ratio and the smoothing of the highest robust accuracy").add_argument(
        "--eps", required=True)
    curve = command("curve", [model, training], "the threshold curves as data", output=None)
    curve.add_argument("--eps", metavar="START:STOP:COUNT", help="default: 101 sizes from 0 to mu/2")
    form = curve.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print CSV")
    form.add_argument("--json", action="store_true", help="print JSON")
    command("verify", [], "every claim with its status and how near it came to failing")
    report = commands.add_parser("report", help="the main job: claims, figures, networks on planted images")
    report.add_argument("--out", default="report", metavar="DIR", help="output folder (default: report)")
    return top


def setting_of(options):
    return Setting(options.mu, options.sigma)


def solved(setting, options, eps):
    """One row of `solve` and `curve`."""
    solution = solve(setting, loss_named(options.loss, options.b), eps, options.lam, options.method)
    ratio = solution.ratio
    # With w = 0 every score ties: there is no classifier whose accuracy could be told.
    joint, pairwise = (None, None) if ratio is None else (
        float(accuracy(ratio, setting.k(eps))) for accuracy in (joint_accuracy, pairwise_accuracy))
    return {"w1": solution.w1, "w2": solution.w2, "ratio": ratio, "risk": solution.risk, "joint_accuracy": joint,
            "pairwise_accuracy": pairwise, "residual": solution.residual, "method": solution.method}


def run_solve(options):
    return solved(setting_of(options), options, options.eps)


def run_thresholds(options):
    setting = setting_of(options)
    smoothed = {} if options.b is None else {"eps1": eps1(setting, options.b)}
    return {"eps0": eps0(setting), **smoothed, "eps_max": eps_max(setting)}


def run_accuracy(options):
    ratio, k = checked("ratio", options.ratio, least=0), setting_of(options).k(options.eps)
    return {"joint": float(joint_accuracy(ratio, k)), "pairwise": float(pairwise_accuracy(ratio, k))}


def run_best(options):
    setting = setting_of(options)
    eps = checked("eps", options.eps, least=0, below=eps_max(setting))  # from mu/2 on no weight is left
    k = setting.k(eps)
    best = r_acc(k)
    return {"k": k, "r_at": ratio_closed(k), "r_acc": best, "b_star": b_star(k) if best > 0 else None}


def run_curve(options):
    setting = setting_of(options)
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
    rows = []
    for index in range(count):
        eps = start + (stop - start) * index / (count - 1)
        k = setting.k(eps)
        rows.append({"eps": eps, "k": k} | solved(setting, options, eps) | {"r_acc": r_acc(k) if k > 0 else None})
    return rows


def run_verify(options):
    from rich.progress import Progress

    from synthmodel.claims import CLAIMS
    from synthmodel.verify import verify
    with Progress(transient=True, disable=not sys.stderr.isatty()) as progress:
        return [row.as_dict() for row in progress.track(verify(), total=len(CLAIMS), description="verifying")]


def shown(value):
    return "-" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)


def print_result(result):
    if isinstance(result, dict):
        width = max(map(len, result))
        for key, value in result.items():
            print(f"{key:{width}}  {shown(value)}")
        return
    keys = list(result[0])
    print("".join(f"{key:>19}" for key in keys))
    for row in result:
        print("".join(f"{shown(row[key]):>19}" for key in keys))


def print_claims(rows):
    """One block a claim: a table of eight columns would be cut or wrapped in any terminal."""
    for row in rows:
        outcome = "holds" if row["holds"] else "DOES NOT HOLD"
        if row["status"] == "refuted":
            outcome = "counterexample confirmed" if row["holds"] else "COUNTEREXAMPLE NOT CONFIRMED"
        derived = "" if row["derived"] is None else ", derived by sympy" if row["derived"] else ", DERIVATION FAILED"
        print(f"{row['id']:10} {row['source']:6} {row['status']:9} {outcome}{derived}")
        print(f"{'':10} {row['statement']}")
        print(f"{'':10} given {row['hypotheses']}; tested on {row['domain']}; {row['measure']} {row['margin']:.3g}")
        if row["counterexample"]:
            print(f"{'':10} counterexample: {row['counterexample']}")


def main(arguments=None):
    """Exit status 0; 2 for bad input, with one sentence; 1 where a claim or a solver fails."""
    options = parser().parse_args(arguments)
    try:
        return run(options)
    except ValueError as error:
        print(f"synthmodel: {error}", file=sys.stderr)
        return 2
    except NotConverged as error:
        print(f"synthmodel: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"synthmodel: {error.filename or 'the output'} cannot be written ({error.strerror}): choose another "
              "place.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("synthmodel: interrupted; the same command goes on from what is finished.", file=sys.stderr)
        return 130


def run(options):
    """Carry out one command; its exit status."""
    if options.command == "report":
        from figures.report import report
        return report(options.out)
    result = {"solve": run_solve, "thresholds": run_thresholds, "accuracy": run_accuracy, "best": run_best,
              "curve": run_curve, "verify": run_verify}[options.command](options)
    if options.json:
        print(json.dumps(result, indent=1))
    elif getattr(options, "csv", False):
        writer = csv.DictWriter(sys.stdout, list(result[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(result)
    elif options.command == "verify":
        print_claims(result)
    else:
        print_result(result)
    sys.stdout.flush()
    return 1 if options.command == "verify" and not all(row["holds"] for row in result) else 0


if __name__ == "__main__":
    sys.exit(main())
