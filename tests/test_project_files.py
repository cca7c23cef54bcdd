"""The project's own pages: valid workflows and citation, and a README that tells the truth."""

import io
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from lib import __main__ as command_line

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")


def schema_check(schema: str, path: Path) -> subprocess.CompletedProcess:
    """Validate against a schema that check-jsonschema ships: no request leaves the machine."""
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        schema,
        path,
    ]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_code_in_the_readme_runs():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert blocks
    namespace = {}
    for block in blocks:  # each goes on where the one before it ended
        exec(compile(block, "README.md", "exec"), namespace)


def test_the_workflows_are_there():
    assert [path.stem for path in WORKFLOWS] == ["book", "tests", "weekly"]


def test_once_a_week_the_notebooks_run_as_on_colab_and_only_then_the_book_is_published():
    weekly = yaml.safe_load((ROOT / ".github/workflows/weekly.yml").read_text())
    started_by = weekly[True]  # YAML takes the word `on` for a truth value
    assert started_by["schedule"]
    colab, book = weekly["jobs"]["colab"], weekly["jobs"]["book"]
    assert "make colab" in [step.get("run") for step in colab["steps"]]
    assert book["needs"] == "colab"
    assert (ROOT / book["uses"]).samefile(ROOT / ".github/workflows/book.yml")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_each_workflow_follows_the_schema(path):
    done = schema_check("vendor.github-workflows", path)
    assert done.returncode == 0, done.stdout


def test_the_schema_refuses_a_faulty_workflow(tmp_path):
    faulty = tmp_path / "faulty.yml"
    faulty.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "run-on:"))
    assert schema_check("vendor.github-workflows", faulty).returncode != 0


@pytest.mark.parametrize(
    "path", [*WORKFLOWS, ROOT / ".ci/run"], ids=lambda path: path.name
)
def test_no_step_of_a_workflow_hides_its_failure(path):
    text = path.read_text()
    assert not re.search(r"continue-on-error|\|\| *(true|:|echo)\b|set \+e", text)


def test_the_script_of_ci_ends_at_the_first_failure():
    lines = (ROOT / ".ci/run").read_text().splitlines()
    assert "set -euo pipefail" in lines


def test_the_citation_follows_its_schema_and_the_package(tmp_path):
    path = ROOT / "CITATION.cff"
    done = schema_check("vendor.citation-file-format", path)
    assert done.returncode == 0, done.stdout
    citation = yaml.safe_load(path.read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation["version"] == project["version"]
    assert citation["authors"] == project["authors"]
    faulty = tmp_path / "CITATION.cff"
    faulty.write_text(path.read_text().replace("authors:", "writers:"))
    assert schema_check("vendor.citation-file-format", faulty).returncode != 0


def test_the_readme_names_every_target_of_make_and_no_other():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())
    named = set(re.findall(r"`make ([\w-]+)`", (ROOT / "README.md").read_text()))
    assert named == targets - {"help"}


def test_the_readme_gives_the_commands_that_make_runs():
    """Each line of a recipe that runs a program of the environment stands in the README, and the other way round."""
    makefile = (ROOT / "Makefile").read_text()
    variables = dict(re.findall(r"^(\w+) [:?]= (.*)$", makefile, re.MULTILINE))

    def expanded(text: str) -> str:
        while "$(" in text:
            text = re.sub(r"\$\((\w+)\)", lambda name: variables[name[1]], text)
        return text

    lines = re.findall(r"^\t@(\$\((?:BIN|PYTHON)\).*)$", makefile, re.MULTILINE)
    commands = {part for line in lines for part in expanded(line).split(" && ")}
    made = {tuple(shlex.split(part)[1:]) for part in commands if " -c " not in part}
    readme = (ROOT / "README.md").read_text()
    blocks = "\n".join(
        re.findall(r"^```sh\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    )
    plain = re.findall(r"^(?:\.venv/bin/|python3 ).*$", blocks, re.MULTILINE)
    told = {tuple(shlex.split(line, comments=True)[1:]) for line in plain}
    quiet = {"--disable-pip-version-check", "--progress-bar", "on"}
    assert {
        tuple(word for word in words if word not in quiet) for words in made
    } == told


def test_what_is_generated_is_marked_as_such():
    generated = [*ROOT.glob("exercises/*.ipynb"), ROOT / "book/map.md"]
    generated += [ROOT / "book/errata.md", ROOT / "book/references.md"]
    generated += [*ROOT.glob("lib/grading/references/exercise_*.py")]
    generated += [ROOT / "book/bug_zoo.md", *ROOT.glob("book/concept_test_*.md")]
    by_hand = [*ROOT.glob("solutions/*.ipynb"), *ROOT.glob("book/*.yml")]
    asked = [path.relative_to(ROOT).as_posix() for path in generated + by_hand]
    command = ["git", "-C", ROOT, "check-attr", "linguist-generated", "--", *asked]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    marked = [line.endswith(" set") for line in done.stdout.splitlines()]
    assert marked == [True] * len(generated) + [False] * len(by_hand)


@pytest.mark.parametrize("name", PAGES)
def test_links_between_the_pages_lead_somewhere(name):
    text = (ROOT / name).read_text()
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert [
        link
        for link in links
        if not link.startswith("https://") and not (ROOT / link).exists()
    ] == []


@pytest.mark.parametrize("name", PAGES)
def test_commands_of_the_package_exist(name):
    text = (ROOT / name).read_text()
    named = set(re.findall(r"python -m lib (\w+)", text))
    assert named <= set(command_line.COMMANDS)


def test_the_readmes_picture_is_what_the_package_draws():
    script = ROOT / "book/assets/draw.py"
    drawn = runpy.run_path(str(script))["causal_weights"]()
    [(alt, path)] = re.findall(r"!\[(.*?)\]\((.*?)\)", (ROOT / "README.md").read_text())
    stored = np.asarray(Image.open(ROOT / path))
    fresh = np.asarray(Image.open(io.BytesIO(drawn.encode())))
    assert alt == drawn.alt
    assert np.array_equal(fresh, stored), "run: python book/assets/draw.py"


def test_the_licence_covers_code_and_text():
    text = (ROOT / "LICENSE").read_text()
    assert "MIT License" in text
    assert "https://creativecommons.org/licenses/by/4.0/legalcode" in text
    assert text.count("Copyright (c) 2026 The Masking the Future contributors") == 2
