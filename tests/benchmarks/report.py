"""The page, the numbers as JSON, and the picture of time and memory against length."""

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from cases import CASES, MOST_FOR_DOUBLING, SCALING, Case, Target
from environment import MEASURED
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from peers import METHODS

from lib.engine.compiler import compiler_name
from lib.figures import ACCENT, FAINT, INK, show
from lib.figures.picture import DEEP

PACKAGES = ("torch", "numpy", *MEASURED)
MIB = 2**20

EXPLANATION = """\
float32, batch 1, 4 heads, d = 64, random inputs. What ratios say lasts longer than milliseconds.

- **×** is the time over the *limit*: the time that the operations of the allowed pairs alone would take at the rate of
  a product of two 1,024 × 1,024 matrices (`torch.mm`), measured in the same rounds. A pair costs 4 · d operations
  forward; the backward pass counts 2.5 times as much (Dao 2023).
- With **1 thread** times are the process's CPU time, with **2 threads** wall time. All methods of a part are called
  in turn, round after round; times are medians. A method that has used 10 s is left out of further rounds. Masks as
  arrays and BlockMasks are made beforehand; *mask never met before* includes what the course prepares for a mask.
- **Memory** is by how much one call makes the resident memory grow at its peak, its results included, with one
  thread in a fresh process. A call at 2,048 tokens comes first; for compiled methods one at full length, whose
  memory is given back before.
- **Error** is the largest one of some 45 rows (first, last, at edges of tiles, spread evenly), in a backward case also
  of gradients of rows and of keys, against dense attention in float64. It may be 3 times that of plain float32
  attention of the same rows, and at least 2e-6. For a tile map it is the number of wrong tiles in four rows.
"""


def write(folder: Path, data: dict) -> list[str]:
    """Write benchmarks.json, benchmarks.md and, if it was measured, scaling.png; returns which results are wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "benchmarks.json").write_text(json.dumps(data, indent=1) + "\n")
    parts = [Part(case, data["measured"]) for case in CASES]
    parts = [part for part in parts if part.times]
    curves = {case.title: curve(case, data["measured"]) for case in SCALING}
    curves = {title: points for title, points in curves.items() if points}
    lines = ["# Benchmarks", "", heading(data["about"]), "", EXPLANATION]
    if not data["about"]["quick"]:
        lines += ["## Targets", "", *targets(parts), ""]
    for part in parts:
        lines += [*part.section(), ""]
    if curves:
        picture = show(scaling(curves), alt=scaling_alt(curves))
        (folder / "scaling.png").write_bytes(picture.encode())
        lines += ["## Time and memory against length", ""]
        lines += [f"![{picture.alt}](scaling.png)", "", *doubling(curves)]
    (folder / "benchmarks.md").write_text("\n".join(lines).rstrip() + "\n")
    return list(wrong(data["measured"]))


def heading(about: dict) -> str:
    versions = ", ".join(f"{name} {v}" for name, v in about["versions"].items())
    text = f"{about['date']}; {about['cpu']}, {about['cores']} cores, {about['memory_gib']:.0f} GiB; {versions}."
    if about["quick"]:
        text += "\n\n**A quick run: it shows that everything runs. Its numbers mean nothing.**"
    return text


class Part:
    """What was measured for a case: `times` by number of threads, `memory` by method."""

    def __init__(self, case: Case, measured: list[dict]):
        mine = [m for m in measured if m["case"] == case.key]
        self.case = case
        self.times = {m["threads"]: m["result"] for m in mine if m["job"] == "time"}
        self.memory = {m["method"]: m["result"] for m in mine if m["job"] == "memory"}
        self.n = mine[0].get("n", case.n) if mine else case.n

    def seconds(self, method: str, threads: int = 1) -> float | None:
        found = self.times.get(threads, {"methods": {}})["methods"]
        return found.get(method, {}).get("seconds")

    def limit(self, threads: int = 1) -> float | None:
        """Seconds that the allowed pairs alone would take; None for a tile map."""
        found = self.times.get(threads)
        if found is None or found["operations"] is None:
            return None
        return found["operations"] / found["rate"]

    def reached(self, target: Target) -> float | None:
        """What the case's first method reached in the measure of the target, or None."""
        ours = self.case.methods[0]
        seconds, memory = self.seconds(ours), self.memory.get(ours, {})
        against = self.limit() if target.of == "limit" else self.seconds(target.of)
        values = {
            "ms": (seconds, 1e-3),
            "MiB": (memory.get("growth"), MIB),
            "GiB": (memory.get("resident"), 1024 * MIB),
            "first call": (self.seconds("first call"), seconds),
        }
        value, unit = values.get(target.of, (seconds, against))
        return None if value is None or unit is None else value / unit

    def section(self) -> Iterator[str]:
        """The case's table, a row for each method."""
        yield f"## {self.case.title}, n = {self.n:,}"
        yield ""
        limit = self.limit()
        if limit is not None:
            rate, operations = self.times[1]["rate"], self.times[1]["operations"]
            yield (
                f"Limit: {operations / 1e9:.3g} GFLOP at {rate / 1e9:.0f} GFLOP/s are {limit * 1e3:.3g} ms "
                f"with 1 thread."
            )
            yield ""
        yield "| method | 1 thread, ms | × | 2 threads, ms | × | memory, MiB | error (limit) |"
        yield "|---|---|---|---|---|---|---|"
        for method in self.case.methods:
            yield "| " + " | ".join(self._row(method)) + " |"

    def _row(self, method: str) -> Iterator[str]:
        checked = self.times[1]["methods"][method]
        yield METHODS[method].name
        if "unavailable" in checked:
            yield from (checked["unavailable"], *["–"] * 5)
            return
        for threads in (1, 2):
            seconds, limit = self.seconds(method, threads), self.limit(threads)
            yield number(seconds, 1e-3)
            yield number(seconds, limit)
        memory = self.memory.get(method, {})
        yield memory.get("unavailable") or number(memory.get("growth"), MIB)
        yield f"{checked['error']:.2g} ({checked['limit']:.2g})"


UNITS = {
    "limit": "× the limit",
    "flex": "× compiled FlexAttention",
    "first call": "× a known mask, with one never met before",
    "ms": "ms",
    "MiB": "MiB more memory",
    "GiB": "GiB resident",
}


def targets(parts: list[Part]) -> Iterator[str]:
    """What the course aims at, and what was reached, with 1 thread."""
    yield "| case | n | target | reached | |"
    yield "|---|---|---|---|---|"
    for part in parts:
        for target in part.case.targets:
            reached = part.reached(target)
            verdict = "not measured"
            if reached is not None:
                verdict = "met" if reached <= target.most else "**missed**"
            yield (
                f"| {part.case.title} | {part.n:,} | ≤ {target.most:g} {UNITS[target.of]} | "
                f"{number(reached)} | {verdict} |"
            )


def number(value: float | None, unit: float | None = 1) -> str:
    """A value in a unit, with three digits."""
    if value is None or unit is None:
        return "–"
    return f"{value / unit:,.0f}" if value / unit >= 100 else f"{value / unit:.3g}"


def wrong(measured: list[dict]) -> Iterator[str]:
    """Every result whose error exceeds its limit."""
    for task in measured:
        checked = {}
        if task["job"] == "time":
            checked = task["result"]["methods"]
        elif task["job"] == "scaling":
            checked = {f"n = {point['n']}": point for point in task["result"]}
        for name, found in checked.items():
            if "error" in found and not found["error"] <= found["limit"]:
                yield f"{task['case']}, {name}: error {found['error']:.3g}, limit {found['limit']:.3g}"


# --- time and memory against length ----------------------------------------------------------------


def curve(case: Case, measured: list[dict]) -> list[dict]:
    """For each length: n, seconds, operations, growth of the memory in bytes; nothing before all are measured."""
    mine = [m for m in measured if m["case"] == case.key]
    growth = {m["n"]: m["result"]["growth"] for m in mine if m["job"] == "memory"}
    points = [point for m in mine if m["job"] == "scaling" for point in m["result"]]
    if any(point["n"] not in growth for point in points):
        return []
    return [point | {"growth": growth[point["n"]]} for point in points]


def doubling(curves: dict[str, list[dict]]) -> Iterator[str]:
    """A row for each mask: by how much each doubling of n multiplies time, pairs and memory at most."""
    yield (
        f"Doubling n: the largest factor of any step. Time may grow {MOST_FOR_DOUBLING} times, and where the pairs "
        f"themselves more than double, {MOST_FOR_DOUBLING / 2:g} times as much as they; the verdict is about this."
    )
    yield ""
    yield (
        "*Without handing out* is less the time in which the system hands out memory for the output. Up to 32 MiB the "
        "C library (glibc) keeps what is freed. Larger outputs, here of 32,768 tokens and more, mostly go back to the "
        "system after each call, and the next one gets its memory anew, page by page. With `THP_MEM_ALLOC_ENABLE=1` "
        "in the environment PyTorch asks for larger pages."
    )
    yield ""
    yield "| mask | time | without handing out | pairs | memory | |"
    yield "|---|---|---|---|---|---|"
    for title, points in curves.items():
        steps = list(pairwise(points))
        time, pairs, memory = (
            [b[name] / a[name] for a, b in steps]
            for name in ("seconds", "operations", "growth")
        )
        own = [point["seconds"] - point["handing_out"] for point in points]
        without = [b / a for a, b in pairwise(own)]
        held = all(
            t <= MOST_FOR_DOUBLING / 2 * max(p, 2)
            for t, p in zip(time, pairs, strict=True)
        )
        verdict = "met" if held else "**missed**"
        columns = (f"{max(x):.2f}" for x in (time, without, pairs, memory))
        yield f"| {title} | {' | '.join(columns)} | {verdict} |"


MARKERS = "os^Dvx"
COLOURS = (INK, ACCENT, DEEP, "#3d7a4a", "#6b4c9a", FAINT)


def scaling(curves: dict[str, list[dict]]) -> Figure:
    """Two panels, time and memory against n, both axes logarithmic; a dotted line grows as n does."""
    figure = Figure(figsize=(9, 4.4), layout="constrained", facecolor="white")
    time, memory = figure.subplots(1, 2)
    draw(time, curves, "seconds", 1, "CPU time, seconds, 1 thread")
    draw(memory, curves, "growth", MIB, "memory of one call, MiB")
    figure.legend(
        *time.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=4,
        frameon=False,
    )
    return figure


def draw(
    axes: Axes, curves: dict[str, list[dict]], name: str, unit: float, label: str
) -> None:
    for style, (title, points) in zip(
        zip(COLOURS, MARKERS, strict=True), curves.items(), strict=False
    ):
        n = [point["n"] for point in points]
        values = [point[name] / unit for point in points]
        axes.plot(n, values, color=style[0], marker=style[1], ms=5, lw=1.5, label=title)
    lowest = min(points[0][name] for points in curves.values()) / unit / 2
    axes.plot(n, [lowest * x / n[0] for x in n], ":", color=INK, label="grows as n")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("tokens n", color=INK)
    axes.set_ylabel(label, color=INK)
    axes.spines[["top", "right"]].set_visible(False)


def scaling_alt(curves: dict[str, list[dict]]) -> str:
    """What the picture shows: from the shortest to the longest n, how much time and memory grow."""
    shown = [
        f"{title} {number(points[-1]['seconds'] / points[0]['seconds'])} and "
        f"{number(points[-1]['growth'] / points[0]['growth'])} times"
        for title, points in curves.items()
    ]
    first, *_, last = next(iter(curves.values()))
    return (
        f"Time and memory of one call against n, on logarithmic axes. From {first['n']:,} to {last['n']:,} tokens, "
        f"{last['n'] / first['n']:g} times as many, time and memory grow: {'; '.join(shown)}."
    )


# --- the machine -----------------------------------------------------------------------------------


def machine(python: Path) -> dict:
    """What it was measured on; versions are those of the environment that measures."""
    code = f"""if True:
        import importlib.metadata as metadata, json, platform
        name_of = lambda d: d.name.lower().replace("_", "-")
        installed = {{name_of(d): d.version for d in metadata.distributions()}}
        versions = {{name: installed.get(name, "not installed") for name in {PACKAGES}}}
        print(json.dumps({{"Python": platform.python_version()}} | versions))"""
    found = subprocess.run([python, "-c", code], check=True, capture_output=True)
    return {
        "versions": json.loads(found.stdout) | {"C++ compiler": compiler()},
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "memory_gib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
    }


def compiler() -> str:
    """Of the C++ compiler, on which the course's own times depend, the name and the version."""
    path = shutil.which(compiler_name())
    if path is None:
        return "none"
    asked = subprocess.run([path, "-dumpversion"], check=True, capture_output=True)
    return f"{compiler_name()} {asked.stdout.decode().strip()}"


def cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.processor() or platform.machine()
