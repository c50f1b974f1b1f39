"""The command line of `synthmodel`. It may import anything, when it is needed; nothing imports it."""

import argparse
import csv
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from synthmodel.cli import printing
from synthmodel.cli.drawing import add_plot, explore, plot, write
from synthmodel.model.losses import LOSSES
from synthmodel.model.penalty import PENALTIES
from synthmodel.model.solution import NotConverged
from synthmodel.system.files import version_line
from synthmodel.system.interrupt import ctrl_c_once
from synthmodel.system.terminal import (
    COMPLETION,
    OneSentenceParser,
    PrintAndExit,
    PrintCompletion,
    complain,
    escaped_output,
    flush_output,
)

__all__ = ["main"]

SIZE = "attack size, >= 0, a fraction such as 8/255 too"

# what a command that was interrupted has left
REMAINS = {"report": "the same command goes on from what is finished",
           "atlas": "what it has said is written, but the same command begins anew"}


class Command(OneSentenceParser):
    """The parser of one command, whose errors lead to that command's own help."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(f"{' '.join(rest)} was not understood")
        return found, rest


def shared_options() -> tuple[OneSentenceParser, OneSentenceParser, OneSentenceParser]:
    """The options of a setting, of a loss and of its penalty, for the commands that have them."""
    # Numbers are read as text, fractions too, so that the library's own sentence answers a bad one.
    model = OneSentenceParser(add_help=False)
    model.add_argument("--mu", default="1", help="mean of an active feature (default: 1)")
    model.add_argument("--sigma", default="0.5", help="its standard deviation (default: 0.5)")
    for name in ("mu-e", "mu-c", "sigma-e", "sigma-c"):
        model.add_argument(f"--{name}", help=f"{name[:-2]} of the {'exclusive' if name[-1] == 'e' else 'cross-class'} "
                           f"feature alone (default: that of --{name[:-2]})")
    model.add_argument("--rho", default="0", help="correlation of the cross-class features (default: 0)")
    model.add_argument("--noise", default="normal", help="normal, laplace, logistic, uniform or student-t:DF")
    model.add_argument("--classes", default="3", help="number of classes K (default: 3)")
    model.add_argument("--design", default="A", help="A: a feature for all classes but one; B: for each pair")
    model.add_argument("--norm", default="inf", help="p of the attack's l_p norm, from 1 to inf (default: inf)")
    lossy = OneSentenceParser(add_help=False)
    lossy.add_argument("--loss", default="margin", help=f"{', '.join(LOSSES)} (default: margin)")
    lossy.add_argument("--b", help="smoothing: 1-b on the true class, b/(K-1) on each other")
    lossy.add_argument("--tau", help="temperature of wrong-class-lse")
    lossy.add_argument("--attack", help="exact or monotone (delta*), for soft-target-margin and cross-entropy")
    lossy.add_argument("--teacher", metavar="T1,T2", help="the teacher's weights, for distillation")
    lossy.add_argument("--teacher-input", help="adversarial or clean, for distillation (default: adversarial)")
    training = OneSentenceParser(add_help=False)
    training.add_argument("--lam", default="0.1", help="weight decay lam (default: 0.1)")
    training.add_argument("--lam-e", help="that of w1 alone (default: that of --lam)")
    training.add_argument("--lam-c", help="that of w2 alone (default: that of --lam)")
    training.add_argument("--penalty", default="weights", help=f"what lam is a decay of: {', '.join(PENALTIES)} (w1 "
                          "and w2; the row-centred W; the entries of W; default: weights)")
    training.add_argument("--method", default="auto", help="closed, numeric or auto (default: auto)")
    return model, lossy, training


def add_claims(command: Callable[..., OneSentenceParser]) -> None:
    """The commands about claims."""
    command("claims", [], "every claim with its status in plain words")
    explained = command("explain", [], "a claim: what it says, why, its numbers at a setting, what carries it; or a "
                        "symbol, or which claims speak of some words")
    explained.add_argument("words", metavar="WORD", nargs="+", help="a claim's ID in any case, such as T1; a symbol, "
                           "such as eps0; or words, such as label smoothing")
    for name, default, words in (("mu", "1", "mean of an active feature"), ("sigma", "0.5", "its standard deviation"),
                                 ("eps", "0.2", "attack size"), ("b", "0.1", "smoothing"), ("lam", "0.1", "decay")):
        explained.add_argument(f"--{name}", default=default, help=f"{words} (default: {default})")
    explained.add_argument("--out", metavar="FILE", help="draw its picture there, too: .png, .svg or .pdf")
    verified = command("verify", [], "every claim, or some, with its status and how near it came to failing")
    verified.add_argument("claims", metavar="CLAIM", nargs="*", help="IDs in any case (default: all claims)")
    stated = command("table", [], "what each statement becomes for each loss and attack", output=None)
    stated.add_argument("--readings", action="store_true", help="instead: Theorems 1 to 3 in other readings of loss, "
                        "penalty and attack (about a minute)")
    form = stated.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print CSV")
    form.add_argument("--json", action="store_true", help="print JSON")
    derived = command("derive", [], "the derivation of a claim, decided by sympy now, or where its evidence is")
    derived.add_argument("claims", metavar="CLAIM", nargs="+", help="IDs in any case, such as T2-joint")
    derived.add_argument("--latex", action="store_true", help="print a LaTeX document instead of plain text")
    certified = command("certify", [], "the stored proofs, checked again: ball arithmetic, for cross-entropy over "
                        "doubles with an a-priori bound of their error")
    which = certified.add_mutually_exclusive_group()
    which.add_argument("--long", action="store_true", help="instead: the long ones (about a minute)")
    which.add_argument("--search", action="store_true",
                       help="instead: those whose boxes are not stored but searched for (about seven minutes)")
    which.add_argument("--enclose", nargs="+", metavar=("NAME", "KEY=VALUE"),
                       help="instead: enclose eps0 (mu, sigma), r_acc (k), b_star (k) or k_x, as r_acc k=6/5")
    certified.add_argument("--digits", type=int, default=30, help="of the enclosure (default: 30)")


def parser() -> OneSentenceParser:
    top = OneSentenceParser(prog="synthmodel", description="Cross-class features in adversarial training: the "
                            "three-class linear Gaussian model, solved and checked.")
    top.add_argument("--version", action=PrintAndExit, line=version_line, help="print version and commit, and exit")
    top.add_argument("--print-completion", action=PrintCompletion, help=COMPLETION)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Command)
    model, lossy, training = shared_options()
    output = OneSentenceParser(add_help=False)
    output.add_argument("--json", action="store_true", help="print JSON")

    def command(name: str, parents: list[OneSentenceParser], text: str,
                output: OneSentenceParser | None = output) -> OneSentenceParser:
        shared: list[Any] = [*parents, output] if output else [*parents]
        return commands.add_parser(name, parents=shared, help=text, description=text[0].upper() + text[1:])

    solved = command("solve", [model, lossy, training], "the optimal robust weights for one attack size")
    solved.add_argument("--eps", required=True, help=SIZE)
    command("thresholds", [model, lossy], "the attack sizes at which weights die")
    accuracy = command("accuracy", [model], "robust accuracy of a ratio w2/w1")
    accuracy.add_argument("--eps", required=True, help=SIZE)
    accuracy.add_argument("--ratio", required=True, help="w2/w1, >= 0")
    command("best", [model], "the ratio and the smoothing of the highest robust accuracy").add_argument(
        "--eps", required=True, help=SIZE)
    command("bayes", [model], "the least robust error of any classifier, of exclusive features alone, of two weights"
            ).add_argument("--eps", required=True, help=SIZE)
    curve = command("curve", [model, lossy, training], "the threshold curves as data", output=None)
    curve.add_argument("--eps", metavar="START:STOP:COUNT", help="default: 101 sizes from 0 to mu/2")
    form = curve.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print CSV")
    form.add_argument("--json", action="store_true", help="print JSON")
    add_plot(commands, model, lossy)
    add_claims(command)
    command("bench", [], "how fast all this is, and how fast and exact the obvious way would be")
    atlas = commands.add_parser("atlas", help="the phase diagrams, computed and drawn")
    atlas.add_argument("--out", default="atlas", metavar="DIR", help="output folder (default: atlas)")
    report = commands.add_parser("report", help="the main job: claims, figures, networks on planted images")
    report.add_argument("--out", default="report", metavar="DIR", help="output folder (default: report)")
    report.add_argument("--draws", "--seeds", type=int, metavar="N",
                        help="draws of the images of each network (default: 3)")
    for name, value, text in (("only", "PART", "theory (claims and curves) or networks (training)"),
                              ("sigma", "SIGMA", "noise of the curves and of the planted images (default: 0.5)"),
                              ("eps", "E,E,...", "attack sizes of the networks (default: 0,0.15,0.3,0.38,0.44)")):
        report.add_argument(f"--{name}", metavar=value, help=text)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0; 2 for bad input, with one sentence; 1 where a claim, a target or a solver fails."""
    with escaped_output(), ctrl_c_once():
        return answered(arguments)


def answered(arguments: Sequence[str] | None) -> int:
    options = parser().parse_args(arguments)
    try:
        return run(options)
    except ValueError as error:
        complain(f"synthmodel: {error}")
        return 2
    except NotConverged as error:
        complain(f"synthmodel: {error}")
        return 1
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        return 1
    except OSError as error:
        complain(f"synthmodel: {error.filename or 'the output'} cannot be written ({error.strerror}): choose another "
                 "place.")
        return 1
    except KeyboardInterrupt:
        complain(f"synthmodel: interrupted; {REMAINS.get(options.command, 'the same command begins anew')}.")
        return 130


def draw(options: argparse.Namespace) -> int:
    """Carry out a command that writes pictures; its exit status."""
    if options.command == "report":
        from figures.report.job import report
        return report(options.out, options.draws, options.only, options.sigma, options.eps)
    if options.command == "atlas":
        from figures.atlas import atlas
        return atlas(options.out)
    return (plot if options.command == "plot" else explore)(options)


def run(options: argparse.Namespace) -> int:
    """Carry out one command; its exit status."""
    if options.command in ("report", "atlas", "plot", "explore"):
        return draw(options)
    from synthmodel.cli.commands import COMMANDS
    result = COMMANDS[options.command](options)
    if options.command == "explain" and options.out is not None:
        from synthmodel.cli.explain import words_of_picture
        write(parser().parse_args(words_of_picture(result["id"], result["picture"], options.out)))
    if options.json:
        print(json.dumps(result, indent=1))
    elif getattr(options, "csv", False):
        writer = csv.DictWriter(sys.stdout, list(result[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(result)
    else:
        print_result(options, result)
    flush_output()
    if options.command == "bench":
        return 1 if printing.missed_targets(result) else 0
    rows = result if isinstance(result, list) else [result]
    return 0 if all(row.get("holds", True) for row in rows) else 1


def print_result(options: argparse.Namespace, result: Any) -> None:
    """Print what a command has found, for people."""
    from synthmodel.cli.commands import COMMANDS
    if options.command == "verify":
        printing.print_claims(result)
        if not options.claims:
            print("\nStatements by loss and attack, on a grid of sigma, lam and eps:")
            printing.print_table(COMMANDS["table"](options))
            printing.print_open()
        print()
        printing.print_verified(result)
    elif options.command == "explain":
        from synthmodel.cli.explain import print_explanation
        from synthmodel.cli.lookup import print_answer
        if "id" in result:
            print_explanation(result, options.out)
        else:
            print_answer(result)
    elif options.command == "table":
        (printing.print_readings if options.readings else printing.print_table)(result)
    elif options.command == "derive":
        printing.print_derivations(result if isinstance(result, list) else [result], options.latex)
    else:
        known: dict[str, Callable[[Any], None]] = {
            "claims": printing.print_list, "bench": printing.print_bench,
            "certify": printing.print_certificates}
        known.get(options.command, printing.print_result)(result)


if __name__ == "__main__":
    sys.exit(main())
