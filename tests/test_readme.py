"""README.md: its message stands on the first screen, its links lead somewhere, its commands and its code run."""

import ast
import contextlib
import io
import re
import shlex

import pytest

from deep.__main__ import parser as parser_of_deep
from synthmodel import Margin, Setting, eps0, solve
from synthmodel.__main__ import main
from synthmodel.__main__ import parser as parser_of_synthmodel
from tests.support.rooms import ROOT

TEXT = (ROOT / "README.md").read_text()
PAGES = ("README.md", "synthmodel/README.md", "deep/README.md", "figures/README.md", "CONTRIBUTING.md")
PARSERS = {"synthmodel": parser_of_synthmodel, "deep": parser_of_deep}
COMMAND = re.compile(r"(?:`|^    )((?:synthmodel|deep) [^`#\n]+)", re.MULTILINE)


def part(title, text=TEXT):
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def blocks(language, text=TEXT):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(text):
    """The commands of `synthmodel` and `deep` in a text, each as its words; FILE and the like stand for themselves."""
    return [shlex.split(command.replace(" ...", "")) for command in COMMAND.findall(text)]


def names(parser):
    (choices,) = (action.choices for action in parser._subparsers._group_actions)
    return set(choices)


def anchors(text):
    """What GitHub calls the headings of a page, and the anchors that it names itself."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles} | set(
        re.findall(r'<a id="([^"]+)">', text))


def test_it_has_at_most_250_lines_of_120_characters():
    assert TEXT.count("\n") <= 250
    by_hand = re.sub(r"<!-- confirm -->.*?<!-- end confirm -->", "", TEXT, flags=re.DOTALL)
    assert [line for line in by_hand.splitlines() if len(line) > 120] == []


@pytest.mark.parametrize("page", ["README.md", "deep/README.md", "synthmodel/README.md", "figures/README.md",
                                  "CONTRIBUTING.md", "CHANGELOG.md", "synthmodel/THEORY.md"])
def test_no_item_of_a_list_is_swallowed_by_the_one_before(page):
    """A dash at the end of a line, or after the end of a sentence, where none is meant."""
    assert re.findall(r".* -$|.*\. - [A-Z*`\d].*", (ROOT / page).read_text(), re.MULTILINE) == []


def test_the_first_screen_says_what_eps0_is_what_was_found_and_what_to_type():
    screen = "\n".join(TEXT.splitlines()[:45])
    said = " ".join(screen.split())
    assert "**eps0 is the attack size from which on training with that loss gives the shared features no weight" in said
    assert "eps0 = mu/2 - sigma/(2 sqrt(pi))" in said
    mine = Setting(mu=1, sigma=0.3)
    assert eps0(mine) == pytest.approx(1 / 2 - 0.3 / 2 / 3.141592653589793**0.5)
    below, above = (solve(mine, Margin(), eps=eps0(mine) + change, lam=0.1) for change in (-1e-3, 1e-3))
    assert below.w2 > 0 == above.w2 < above.w1
    for found in ("Theorem 1 holds for the margin loss, not for cross-entropy",
                  "Theorem 2 holds for pairs of classes, not for accuracy", "Theorem 3 holds for a", "Networks"):
        assert f"**{found}" in screen
    assert [words[:2] for words in commands(screen[screen.index("**What to type.**"):])] == [
        ["synthmodel", "explain"], ["synthmodel", "plot"], ["deep", "evaluate"], ["deep", "cas"]]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text()) if "://" not in link]
    assert len(links) > 1
    lost = []
    for path, _, anchor in (link.partition("#") for link in links):
        target = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            lost.append(f"{path}#{anchor}")
    assert lost == []


@pytest.mark.parametrize("page", ["README.md", "synthmodel/README.md", "figures/README.md"])
def test_every_command_is_understood(page):
    """The parsers take the words, or it is a name alone; values are checked where a command runs."""
    found = commands((ROOT / page).read_text())
    assert len(found) > 20 or page != "README.md"
    known = {program: parser() for program, parser in PARSERS.items()}
    for program, *words in found:
        if len(words) == 1:
            assert words[0] in names(known[program])
        else:
            assert known[program].parse_args(words).command == words[0]


def test_every_command_of_both_programs_stands_in_the_table():
    listed = {tuple(words[:2]) for words in commands(part("Commands"))}
    for name, parser in PARSERS.items():
        assert {(name, command) for command in names(parser())} <= listed


@pytest.mark.slow
def test_what_the_first_part_says_to_type_runs(tmp_path, monkeypatch, capsys):
    """The commands of `synthmodel`; those of `deep`, which need a network, run in the tests of deep/README.md.

    Pictures are made, and not rendered: the tests of the plots do that.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda figure, file, **_: file.write(b"drawn"))
    typed = [words for program, *words in commands(part("In one minute")) if program == "synthmodel"]
    assert len(typed) == 6
    typed.remove(["explain", "T1"])  # with --sigma it stands there, too
    printed = {}
    for words in typed:
        assert main(words) == 0, capsys.readouterr().err
        printed[words[0]] = capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"T1.png", "thresholds.png", "weights.png"}
    assert "Statement (Theorem 1)" in printed["explain"]
    assert re.search(r"^r_acc +0\.759", printed["best"], re.MULTILINE)
    errors = dict(re.findall(r"^(\w+) +(\S+)$", printed["bayes"], re.MULTILINE))
    assert float(errors["bayes_error"]) < float(errors["exclusive_error"])


@pytest.mark.slow
def test_its_lines_of_python_run_and_are_what_their_comments_say():
    (block,) = blocks("python")
    assert len(block.splitlines()) == 10
    known = {}
    for line in block.splitlines():
        if not isinstance(ast.parse(line).body[0], ast.Expr):
            exec(line, known)
            continue
        value, said = eval(line, known), line.partition("  # ")[2]
        if isinstance(value, tuple):
            assert said.startswith(f"{value}:")
        elif said:
            assert f"{float(value):.4f}" == re.match(r"[\d.]+", said)[0]
    margin = solve(Setting(mu=1, sigma=0.5), Margin(), eps=0.2, lam=0.1).ratio
    assert f", not {margin:.4f} as for Margin()" in block
    assert 0 < value < 6  # the last line: CAS of three classes


@pytest.mark.slow
@pytest.mark.parametrize("section", ["A setting of your own", "A loss of your own"])
def test_the_worked_examples_of_the_theory_print_what_stands_below_them(section):
    page = part(section, (ROOT / "synthmodel/README.md").read_text())
    (block,), (shown,) = blocks("python", page), blocks("text", page)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(block, {})
    assert printed.getvalue() == shown
