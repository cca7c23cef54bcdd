"""A receipt and its rows, and the file that they stand in: `receipts.json`, beside this module."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path

RECEIPTS = Path(__file__).with_name("receipts.json")
KINDS = ("cpu", "cuda")
STEPS = ("mask", "forward", "forward and backward")
COMMAND = "python -m lib receipts --record"


@dataclass(frozen=True)
class Row:
    """One method at one length.

    `step`: what was done, one of `STEPS`. `seconds`: median of a few calls, or None where the method could not run;
    then `why` says why. `peak`: bytes that the call took at its peak, beyond what was there before, None where that
    cannot be seen. `limit`: seconds that the operations of the allowed pairs take at the measured rate of a product of
    matrices, None for a step without such.
    """

    method: str
    n: int
    dtype: str
    step: str
    seconds: float | None
    peak: int | None
    limit: float | None
    why: str = ""


@dataclass(frozen=True)
class Receipt:
    """Rows that were measured together, under ``causal & window(window)``, and where and when.

    `kind`: "cpu" or "cuda"; `driver`: its version, "" for a CPU; `date`: YYYY-MM-DD; `heads` and `features` (each
    head's) are the shape of q, k and v, batch 1.
    """

    device: str
    kind: str
    driver: str
    threads: int
    torch: str
    date: str
    command: str
    window: int
    heads: int
    features: int
    rows: tuple[Row, ...]

    def __str__(self) -> str:
        """Where and when it was recorded, in one line."""
        where = f"driver {self.driver}" if self.kind == "cuda" else f"{self.threads} thread"  # fmt: skip
        return f"recorded on {self.device}, {where}, PyTorch {self.torch}, {self.date}"

    @property
    def checksum(self) -> str:
        """Of everything in the receipt. It shows a slip of the hand; it is no signature."""
        return hashlib.sha256(
            json.dumps(asdict(self), sort_keys=True).encode()
        ).hexdigest()


def load(path: Path = RECEIPTS) -> tuple[Receipt, ...]:
    """The receipts of a file. Raises ValueError for one that was edited, or that no recorder can write."""
    try:
        return tuple(_receipt(given) for given in json.loads(path.read_text("utf-8")))
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as problem:
        raise ValueError(
            f"{path.name}: expected a list of receipts as `{COMMAND}` writes it; {problem!r}"
        ) from problem


def recorded(kind: str, path: Path = RECEIPTS) -> Receipt:
    """The newest receipt of a kind of device, "cpu" or "cuda". Raises LookupError where there is none."""
    if kind not in KINDS:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    found = [receipt for receipt in load(path) if receipt.kind == kind]
    if not found:
        name = "GPU" if kind == "cuda" else "CPU"
        raise LookupError(
            f"no figures of a {name} have been recorded; on a machine with one, `{COMMAND}` does it"
        )
    return max(found, key=lambda receipt: receipt.date)


def write(receipts: Sequence[Receipt], path: Path = RECEIPTS) -> None:
    """Write the receipts to a file, each with its checksum."""
    plain = [asdict(one) | {"checksum": one.checksum} for one in receipts]
    path.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


def _receipt(given: dict) -> Receipt:
    """The receipt that `write` made this of."""
    rows = tuple(Row(**row) for row in given["rows"])
    told = {f.name: given[f.name] for f in fields(Receipt) if f.name != "rows"}
    receipt = Receipt(**told, rows=rows)
    if receipt.checksum != given["checksum"]:
        raise ValueError(
            f"the receipt of {receipt.device}, {receipt.date}, is not as it was recorded: its checksum does not fit. "
            f"Figures are not edited by hand; record them again with `{COMMAND}`"
        )
    faults = [*_faults(receipt), *(fault for row in rows for fault in _faults_of(row))]
    if faults:
        raise ValueError(
            f"the receipt of {receipt.device}, {receipt.date}: {'; '.join(faults)}"
        )
    return receipt


def _faults(receipt: Receipt) -> list[str]:
    """What no recorder can have written about a device."""
    faults = [
        f"{name} is missing"
        for name in ("device", "torch", "command", "rows")
        if not getattr(receipt, name)
    ]
    if receipt.kind not in KINDS:
        faults.append(f"kind is {receipt.kind!r}, expected one of {', '.join(KINDS)}")
    if receipt.kind == "cuda" and not receipt.driver:
        faults.append("a GPU without the version of its driver")
    try:
        date.fromisoformat(receipt.date)
    except ValueError:
        faults.append(f"date is {receipt.date!r}, expected YYYY-MM-DD")
    return faults


def _faults_of(row: Row) -> list[str]:
    """What no recorder can have written about a method."""
    name = f"{row.method} at n = {row.n}"
    faults = []
    if row.step not in STEPS:
        faults.append(f"{name}: step is {row.step!r}, expected one of {', '.join(STEPS)}")  # fmt: skip
    if (row.seconds is None) == (row.why == ""):
        faults.append(f"{name}: either seconds, or why there are none")
    for value in (row.seconds, row.limit, row.n):
        if value is not None and not value > 0:
            faults.append(f"{name}: {value} is not more than 0")
    if row.peak is not None and row.peak < 0:
        faults.append(f"{name}: a peak of {row.peak} bytes")
    return faults
