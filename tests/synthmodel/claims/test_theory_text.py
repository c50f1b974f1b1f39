"""synthmodel/THEORY.md has one section for each claim and no other, and every reference to it finds its place."""

import re
import tomllib
from pathlib import Path

import pytest

from synthmodel.claims.registry import CLAIMS, OPEN

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "synthmodel/THEORY.md").read_text()
IDS = {claim.id for claim in CLAIMS}
OWN = {"T3-ratio", "N3-above"}  # rows of a figure and of a test, no claims
HEADING = re.compile(r'^#{2,3} <a id="([^"]+)"></a>(.+)$', re.M)
SECTION = re.compile(r'^### <a id="([^"]+)"></a>(\S+) \((\w+), (\w+)\)$', re.M)
LIKE_AN_ID = re.compile(r"\b(?:(?:A1|T[123]|N[1-5]|S1|D[1-4]|C1|CE|G|P|E|U1|R)(?:-[A-Za-z0-9]+)+(?:'(?![\w'\"]))?)")
CLAIM = re.compile(r"\bclaims? ([A-Z]+\d(?:[\w-]*\w)?'?(?:(?:, | and )[A-Z]+\d(?:[\w-]*\w)?'?)*)")
NUMBER = re.compile(r"\b[Ss]ections? (\d(?:\.\d)?)(?:(?:, (?:\d(?:\.\d)?, )*\d(?:\.\d)?)? and (\d(?:\.\d)?))?")
ITEM = re.compile(r"(?:sections? )?([A-Za-z][\w-]*'?|\d(?:\.\d)?)")
MATH = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+?)\$")


def anchor(claim):
    """The rule of the text: "claim-" and the ID in lower case, "-prime" for a prime."""
    return "claim-" + claim.lower().replace("'", "-prime")


def sources():
    """Every file that may refer to the theory: path -> text; this one speaks of wrong references."""
    files = [path for folder in ("synthmodel", "deep", "figures", "tests") for path in (ROOT / folder).rglob("*.py")]
    pages = ("README.md", "synthmodel/README.md", "deep/README.md")
    files += [*(ROOT / page for page in pages), *(ROOT / "figures").glob("*.md")]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in files if path != Path(__file__).resolve()}


def sections(text):
    """(anchor, ID, source, status) of each claim's section, in order."""
    return SECTION.findall(text)


def numbers(text):
    """The section numbers that its headings name."""
    titles = [title for _, title in HEADING.findall(text) if title.startswith("Section ")]
    found = {number for title in titles for number in re.findall(r"\d(?:\.\d)?", title.partition(":")[0])}
    return found | {number[0] for number in found}


def unresolved(text, name, source):
    """The references in `source` (of the file `name`) that lead nowhere in `text`: a list of words."""
    anchors, known = {found for found, _ in HEADING.findall(text)}, {section[1] for section in sections(text)}
    lost = [f"#{link}" for link in re.findall(r"THEORY\.md#([\w'-]+)", source) if link not in anchors]
    for rest in re.findall(r"THEORY\.md, ([^\n]*)", source):
        item = ITEM.match(rest)
        if not item or item[1] not in known | numbers(text):
            lost.append(f"THEORY.md, {rest[:20]}")
    named = LIKE_AN_ID.findall(source)
    named += [word for listed in CLAIM.findall(source) for word in re.split(", | and ", listed)]
    lost += [word for word in named if not {word, word.removesuffix("'")} & (known | OWN)]  # ' may close a string
    if name.startswith("synthmodel/"):
        lost += [f"section {number}" for pair in NUMBER.findall(source) for number in pair
                 if number and number not in numbers(text)]
    lost += [f"deep/README.md, {title}" for title in re.findall(r"deep/README\.md, (\w+)", source)
             if f"\n## {title}\n" not in (ROOT / "deep/README.md").read_text()]
    return lost + re.findall(r"\b(?:theory|design)\.md", source)


def outline():
    """The headings and the IDs of claims.py, in its order."""
    source = (ROOT / "synthmodel/claims/registry.py").read_text()
    lines = re.findall(r'^    # (Section .+)$|^    Claim\("([^"]+)"', source, re.M)
    return [heading or claim for heading, claim in lines]


def test_a_section_for_each_claim_with_its_status_in_the_order_of_the_list():
    assert sections(TEXT) == [(anchor(claim.id), claim.id, claim.source, claim.status) for claim in CLAIMS]
    assert len(re.findall(r"^### ", TEXT, re.M)) == len(CLAIMS)


def test_the_headings_are_those_of_the_list():
    text = TEXT[TEXT.index('## <a id="section-0">'):TEXT.index('## <a id="arithmetic">')]
    assert [title.partition(" (")[0] for _, title in HEADING.findall(text)] == outline()


def test_anchors_are_unique_and_every_link_has_its_end():
    anchors = re.findall(r'<a id="([^"]+)">', TEXT)
    assert len(set(anchors)) == len(anchors)
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert {link[1:] for link in links if link.startswith("#")} - {"claim-ID"} <= set(anchors)
    assert [link for link in links if not re.match("#|https:", link)
            and not (ROOT / "synthmodel" / link).exists()] == []


def test_the_contents_list_every_heading_in_order():
    contents = TEXT[TEXT.index("<!-- contents -->"):TEXT.index("<!-- end contents -->")]
    listed = re.findall(r"\[([^\]]+)\]\(#([^)]+)\)", contents)
    headings = [(title.partition(" (")[0], found) for found, title in HEADING.findall(TEXT)]
    assert listed == [heading for heading in headings if heading[1] != "contents"]


def test_every_section_of_a_claim_states_it():
    for part in re.split(r"^(?=##)", TEXT, flags=re.M):
        if part.startswith("### "):
            assert "**Statement" in part and "**Hypotheses.**" in part, part.splitlines()[0]
            status = SECTION.match(part)[4]
            assert status != "refuted" or ("*False" in part and "**What is true.**" in part), part.splitlines()[0]
            assert status != "certified" or "**Certified**" in part, part.splitlines()[0]


def test_what_is_certified_names_its_arithmetic():
    certified = {claim.id for claim in CLAIMS if claim.certified}
    found = {SECTION.match(part)[2]: part for part in re.split(r"^(?=##)", TEXT, flags=re.M) if part.startswith("### ")}
    assert {claim for claim, part in found.items() if "**Certified**" in part} == certified
    doubles = {claim for claim in certified if "doubles with an a-priori bound" in " ".join(found[claim].split())}
    assert doubles == {"CE-monotone", "T3-CE", "T3-CE-unequal", "N4", "N4-end", "N4-entries"}
    assert all("ball arithmetic" in " ".join(found[claim].split()) for claim in certified - doubles)


def test_what_is_open_is_the_list():
    text = TEXT[TEXT.index("<!-- open -->"):TEXT.index("<!-- end open -->")]
    assert [line[2:] for line in text.splitlines() if line.startswith("- ")] == list(OPEN)


def test_every_symbol_has_a_row_and_no_bar_breaks_the_table():
    start = TEXT.index("| symbol |")
    rows = TEXT[start:TEXT.index("\n\n", start)].splitlines()
    assert {row.count("|") for row in rows} == {5}
    symbols = " ".join(row.split("|")[1] for row in rows)
    for symbol in (r"$\mu$", r"$\sigma$", r"$\lambda$", r"$\epsilon$", "$d$", "$k$", "$r$", "$b$", r"$\tau$", "$L$",
                   "$e_n$", r"$\mathrm{imr}$", r"$\delta^\star$", "design A", "design B", "gauge", "null level",
                   r"$r_{\mathrm{AT}}$", r"$r_{\mathrm{CE}}$", r"$r_{\mathrm{acc}}$", r"$b^\star$", r"$\epsilon_0$",
                   r"$\epsilon_1$", r"$\epsilon_{\max}$", r"$\kappa$", r"$\rho$", "$M$", "$G$", "$p_e$", "$A_2$",
                   r"$\beta$", "$p$, $q$"):
        assert symbol in symbols


def test_github_renders_the_mathematics():
    """What Markdown would change inside $...$: an underscore after a bracket, a star, a bar, an escaped sign."""
    assert all(line.count("$") % 2 == 0 for line in TEXT.splitlines())
    formulas = [first or second for first, second in MATH.findall(TEXT)]
    assert len(formulas) > 1000
    for formula in formulas:
        assert not re.search(r"[^0-9A-Za-z]_|[*|~]|\\[^A-Za-z]|<\S|\]\(", formula), formula
        assert formula.count("{") == formula.count("}"), formula
    for before, after in re.findall(r"(\S?)\$[^$\n]+\$(\S?)", re.sub(r"\$\$.+?\$\$|`[^`\n]*`", "", TEXT)):
        assert before in ("", "(") and after in ("", *".,;:)"), (before, after)


@pytest.mark.parametrize("folder", ["synthmodel", "deep", "figures", "tests", "README.md"])
def test_every_reference_finds_its_place(folder):
    lost = {name: found for name, source in sources().items() if name.startswith(folder)
            and (found := unresolved(TEXT, name, source))}
    assert lost == {}


def test_a_wrong_reference_is_seen():
    for wrong in ("(theory.md, section 2)", "see design.md", "THEORY.md#claim-t9", "THEORY.md, T9.", "claim T7",
                  "THEORY.md, section 9.2", "claims T1 and N2-other", "claims T1, T7", "section 9.8",
                  "deep/README.md, Convention"):
        assert unresolved(TEXT, "synthmodel/x.py", wrong), wrong
    for right in ("THEORY.md, T2-joint'.", "THEORY.md, section 9", "THEORY.md#claim-t2-joint-prime", "claims S1, D2",
                  "THEORY.md, CAS: what", "sections 7, 8 and 9", "deep/README.md, Conventions", "of section 9 and"):
        assert not unresolved(TEXT, "synthmodel/x.py", right), right


def test_a_lost_section_and_a_wrong_anchor_are_seen():
    start = TEXT.index('### <a id="claim-g-lp">')
    without = TEXT[:start] + TEXT[TEXT.index("## ", start + 3):]
    assert len(sections(without)) == len(CLAIMS) - 1
    assert unresolved(without, "figures/phase/norm.py", "Atlas (claim G-lp)") == ["G-lp"]
    misnamed = TEXT.replace('<a id="claim-t1">', '<a id="claim-t1x">')
    assert unresolved(misnamed, "README.md", "synthmodel/THEORY.md#claim-t1") == ["#claim-t1"]
    assert sections(misnamed) != sections(TEXT)


def test_the_text_ships_with_the_package():
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert "THEORY.md" in data["synthmodel"]
