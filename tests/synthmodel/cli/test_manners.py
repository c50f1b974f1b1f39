"""How the commands behave: widths, progress, Ctrl-C, fractions, exit status, help, completion."""

import argparse
import io
import json
import math
import os
import re
import signal
import sys
import time
from multiprocessing import active_children

import pytest

from deep.__main__ import parser as deep_parser
from synthmodel import Margin, Setting, SoftTargetMargin, eps0, solve
from synthmodel.__main__ import main, parser
from synthmodel.claims import verify
from synthmodel.claims.registry import CLAIMS
from synthmodel.claims.verify import row_of
from synthmodel.cli import benchmark, commands, explain, printing
from synthmodel.system import progress
from synthmodel.system.interrupt import ctrl_c_once
from synthmodel.system.workers import workers
from tests.conftest import imported, until

EPS0 = 0.5 - 0.25 / math.sqrt(math.pi)


def printed(capsys, *words):
    try:
        status = main(list(words))
    except SystemExit as error:
        status = error.code
    return status, *capsys.readouterr()


def set_width(monkeypatch, width):
    for module in (printing, explain):
        monkeypatch.setattr(module, "columns", lambda: width)


@pytest.fixture
def narrow(monkeypatch):
    """A terminal of 80 columns."""
    set_width(monkeypatch, 80)


@pytest.fixture
def ctrl_c():
    """Python's own handler of Ctrl-C, also where these tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def widest(out):
    return max(map(len, out.splitlines()))


@pytest.mark.parametrize("words", ["curve --eps 0:0.5:3", "claims", "certify", "solve --eps 0.2 --classes 5 --design B",
                                   "thresholds --sigma 3", "explain N1-sample", "derive n4-entries"])
def test_output_fits_the_terminal_and_loses_no_word(narrow, capsys, monkeypatch, words):
    status, out, _ = printed(capsys, *words.split())
    assert status == 0 and widest(out) <= 80
    set_width(monkeypatch, None)
    whole = printed(capsys, *words.split())[1]
    if "curve" not in words and "certify" not in words:  # numbers of fewer digits; seconds
        assert out.split() == whole.split()


def test_a_table_that_is_too_wide_comes_in_parts_of_whole_columns(narrow, capsys):
    out = printed(capsys, "curve", "--eps", "0:0.5:3")[1]
    parts = [[line.split() for line in part.splitlines()] for part in out.strip("\n").split("\n\n")]
    assert len(parts) > 1 and all(part[0][0] == "eps" and [row[0] for row in part[1:]] == ["0", "0.25", "0.5"]
                                  for part in parts)
    found = {name: [row[i] for row in part[1:]] for part in parts for i, name in enumerate(part[0])}
    rows = json.loads(printed(capsys, "curve", "--eps", "0:0.5:3", "--json")[1])
    assert list(found) == list(rows[0])
    assert float(found["w2"][1]) == pytest.approx(rows[1]["w2"], rel=1e-5) and found["ratio"][2] == "-"


def test_without_a_terminal_numbers_keep_their_ten_digits(capsys):
    lines = printed(capsys, "curve", "--eps", "0:0.5:3")[1].splitlines()
    assert len(lines) == 4 and {len(line) for line in lines} == {19 * 12}
    assert f"{solve(Setting(), Margin(), 0.25, 0.1).w2:.10g}" in lines[2].split()


def test_no_id_is_cut_off_and_verify_ends_with_a_summary(narrow, capsys, monkeypatch):
    long = next(claim for claim in CLAIMS if claim.id == "T1-CE-exact-unequal")
    rows = [row_of(claim, symbolic=False).as_dict() for claim in CLAIMS if claim.id in ("T2-joint", "T2-pair")]
    rows.append(rows[0] | {"id": long.id, "statement": long.statement, "holds": False})
    monkeypatch.setitem(commands.COMMANDS, "verify", lambda options: rows)
    status, out, _ = printed(capsys, "verify", "t2-pair")
    assert (status, widest(out) <= 80) == (1, True)
    assert [line.split()[0] for line in out.splitlines() if line[:1].strip()] == [
        "T2-pair", "T2-joint", long.id, "3"]
    assert out.splitlines()[-1] == "3 claims: 2 as stated, 1 not (T1-CE-exact-unequal)"


def test_verify_takes_ids_in_any_case(capsys, monkeypatch):
    monkeypatch.setattr(verify, "row_of", lambda claim, symbolic: row_of(claim, symbolic=False))
    status, out, err = printed(capsys, "verify", "t2-JOINT", "t2-pair", "--json")
    assert (status, err, [row["id"] for row in json.loads(out)]) == (0, "", ["T2-pair", "T2-joint"])
    assert printed(capsys, "verify", "t2-pair")[1].splitlines()[-1] == "1 claim: 1 as stated, 0 not"


@pytest.mark.parametrize("words", ["solve --eps 8/255 --mu 3/2 --lam 1/10", "accuracy --eps 1/5 --ratio 1/2",
                                   "thresholds --sigma 1/2 --b 1/10", "bayes --eps 1/5", "best --eps 1/5 --norm 4/2",
                                   "curve --eps 0:1/2:3", "explain T1 --eps 51/255",
                                   "solve --eps 1/5 --loss distillation --teacher 1/1,1/2"])
def test_fractions_are_numbers(capsys, words):
    decimal = re.sub(r"(\d+)/(\d+)", lambda match: repr(int(match[1]) / int(match[2])), words)
    one, other = (printed(capsys, *text.split(), "--json") for text in (words, decimal))
    assert one == other and one[0] == 0


@pytest.mark.parametrize("size", ["8/0", "1/2/3", "/3", "8/x", "1e400/2", "-1/3"])
def test_what_is_no_fraction_is_refused_as_it_was_given(capsys, size):
    status, out, err = printed(capsys, "solve", f"--eps={size}")
    assert (status, out) == (2, "") and err.startswith(f"synthmodel: eps = {size} was given, but it must be a finite")


def test_thresholds_are_those_of_the_loss(capsys):
    found = {loss: json.loads(printed(capsys, "thresholds", "--json", "--loss", *loss.split())[1]) for loss in (
        "cross-entropy", "wrong-class-lse --tau 0.1", "hinge", "soft-target-margin --b 0.1")}
    assert found["cross-entropy"] == found["wrong-class-lse --tau 0.1"] == {"threshold": 0.5, "eps_max": 0.5}
    assert found["hinge"] == pytest.approx({"eps0": EPS0, "threshold": EPS0, "eps_max": 0.5})
    soft = found["soft-target-margin --b 0.1"]
    assert soft["threshold"] < soft["eps0"] and solve(Setting(), SoftTargetMargin(0.1), soft["threshold"], 0.1).w2 == 0


def test_a_threshold_below_zero_says_what_that_means(capsys):
    found = json.loads(printed(capsys, "thresholds", "--sigma", "3", "--b", ".9", "--json")[1])
    assert found["eps0"] == eps0(Setting(1, 3)) < 0 < found["eps1"]
    assert found["note"].startswith("eps0 not above 0: so much noise that w2 = 0 at every attack size")
    assert "note" not in json.loads(printed(capsys, "thresholds", "--json")[1])


@pytest.mark.parametrize(("measured", "status", "last"), [
    ({"a": {"seconds": 1.0, "target": 0.5, "met": False}, "b": {"met": True}}, 1, "targets missed: a"),
    ({"a": {"seconds": 0.1, "target": 0.5, "met": True}, "b": {"ours_error": 0.0}}, 0, "every target is met")])
def test_bench_fails_where_a_target_is_missed(capsys, monkeypatch, measured, status, last):
    monkeypatch.setattr(benchmark, "MEASUREMENTS", {name: lambda row=row: row for name, row in measured.items()})
    found = printed(capsys, "bench")
    assert found[0] == status and found[1].splitlines()[-1] == last
    assert printed(capsys, "bench", "--json")[0] == status


def test_certify_prints_a_header(capsys):
    lines = printed(capsys, "certify")[1].splitlines()
    assert lines[0] == "claim; statement; region; boxes; seconds; outcome"
    assert all(line.endswith("; holds") for line in lines[1:]) and len(lines) > 5


def subparsers(top):
    (action,) = [action for action in top._actions if isinstance(action, argparse._SubParsersAction)]
    return action.choices


def test_every_option_has_a_help_text():
    found = subparsers(parser())
    for name, command in (found | subparsers(found["plot"])).items():
        silent = [action.dest for action in command._actions
                  if not action.help and not isinstance(action, argparse._SubParsersAction)]
        assert silent == [], name


@pytest.mark.parametrize("words", ["curve --epsilon 3", "solve --eps 0.2 --sigmas 1", "accuracy --eps", "verify --all",
                                   "plot thresholds --eps 3"])
def test_a_wrong_word_leads_to_the_help_of_its_command(capsys, words):
    status, out, err = printed(capsys, *words.split())
    command = words[:words.index(" --")]
    assert (status, out) == (2, "") and err.startswith(f"synthmodel {command}: ")
    assert err.endswith(f"; see synthmodel {command} --help.\n") and len(err.splitlines()) == 1


def test_progress_is_a_line_now_and_then_where_there_is_no_terminal(monkeypatch):
    """A line comes while an item is being worked on, with what is done by then."""
    told = io.StringIO()
    monkeypatch.setattr(sys, "stderr", told)
    monkeypatch.setattr(progress, "FIRST", 0.001)

    def items():
        yield "a"
        yield "b"
        until(lambda: "verifying: 2 of 3, " in told.getvalue())
        yield "c"

    assert list(progress.tracked(items(), "verifying", 3)) == ["a", "b", "c"]
    assert all(re.fullmatch(r"verifying: [0-3] of 3, \d+ s", line) for line in told.getvalue().splitlines())


def test_what_is_quick_shows_no_progress(capsys):
    assert list(progress.tracked("abc", "verifying", 3)) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("command", "left"), [
    ("verify", "the same command begins anew"), ("bench", "the same command begins anew"),
    ("certify", "the same command begins anew"), ("table", "the same command begins anew")])
def test_ctrl_c_says_what_is_left(ctrl_c, capsys, monkeypatch, command, left):
    def interrupted(options):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setitem(commands.COMMANDS, command, interrupted)
    assert printed(capsys, command) == (130, "", f"synthmodel: interrupted; {left}.\n")


def test_ctrl_c_in_the_atlas_and_the_report(ctrl_c, capsys, monkeypatch):
    import figures.atlas
    import figures.report.job

    def interrupted(*out):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(figures.atlas, "atlas", interrupted)
    monkeypatch.setattr(figures.report.job, "report", interrupted)
    assert "is written, but the same command begins anew" in printed(capsys, "atlas")[2]
    assert "the same command goes on from what is finished" in printed(capsys, "report")[2]


def test_a_second_ctrl_c_ends_the_process(ctrl_c):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), ctrl_c_once():
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL  # the second one kills
    assert signal.getsignal(signal.SIGINT) == before


def test_another_handler_of_ctrl_c_stays():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ctrl_c_once():
            signal.raise_signal(signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.slow
def test_an_interrupted_block_does_not_wait_for_its_workers():
    before = set(active_children())
    with pytest.raises(KeyboardInterrupt), workers(1) as pool:
        pool.submit(os.getpid).result(timeout=60)
        pool.submit(time.sleep, 3600)
        raise KeyboardInterrupt
    until(lambda: set(active_children()) == before)


@pytest.mark.parametrize(("name", "top"), [("synthmodel", parser), ("deep", deep_parser)])
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes_every_command(capsys, name, top, shell):
    imported("shtab")
    with pytest.raises(SystemExit) as stop:
        top().parse_args(["--print-completion", shell])
    out = capsys.readouterr().out
    assert not stop.value.code and f"_shtab_{name}" in out
    assert all(command in out for command in subparsers(top()))
    assert name == "deep" or "--sigma-e" in out


def test_without_shtab_completion_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    status, out, err = printed(capsys, "--print-completion", "bash")
    assert (status, out) == (2, "") and "pip install shtab" in err
