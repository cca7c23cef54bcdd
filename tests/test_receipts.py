"""Measured figures: well-formed, with a device and a date, refused when edited; and the recorder runs."""

import json
from argparse import Namespace
from dataclasses import replace
from datetime import date

import pytest
import torch
from book_building import ROOT

from lib import receipts
from lib.masks import causal, window
from lib.receipts import Receipt, Row, load, recorded, recorder, write
from lib.tiles import n_pairs

ROW = Row("tiled", 4096, "float32", "forward", 0.5, 1024, 0.25)
RECEIPT = Receipt(
    "Some CPU", "cpu", "", 1, "2.13.0", "2026-11-26", receipts.COMMAND, 256, 1, 64, (ROW,)
)  # fmt: skip


@pytest.fixture
def uncompiled(monkeypatch):
    """Nothing is compiled, which takes some seconds for each mask."""
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(recorder, "create_block_mask", lambda *given, **named: None)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "receipts.json"


def edited(file, change):
    """The file of `RECEIPT` after `change` of what stands in it."""
    write([RECEIPT], file)
    given = json.loads(file.read_text())
    change(given[0])
    file.write_text(json.dumps(given))
    return file


# --- what ships ---------------------------------------------------------------------------------------


def test_the_shipped_receipts_are_well_formed():
    shipped = load()
    assert [receipt for receipt in shipped if receipt.kind == "cpu"]
    for receipt in shipped:
        assert date.fromisoformat(receipt.date) <= date.today()
        methods = {row.method for row in receipt.rows if row.step == "forward"}
        assert {"dense", "SDPA, is_causal", "tiled", "FlexAttention"} <= methods
        for n in {row.n for row in receipt.rows}:
            rows = [r for r in receipt.rows if r.n == n and r.step == "forward" and r.seconds]  # fmt: skip
            assert len({(r.dtype, r.limit) for r in rows}) == len({r.dtype for r in rows})  # fmt: skip


def test_the_chapter_says_so_while_there_are_no_figures_of_a_gpu():
    """In the chapter itself this would fail for a reader who follows its advice and records some."""
    chapter = (ROOT / "notebooks/09_long_sequences_on_the_gpu.ipynb").read_text("utf-8")
    of_gpus = [receipt for receipt in load() if receipt.kind == "cuda"]
    assert ("There are no figures of a GPU yet" in chapter) == (not of_gpus)


def test_a_missing_device_is_told(file):
    write([RECEIPT], file)
    assert recorded("cpu", file) == RECEIPT
    with pytest.raises(LookupError, match=r"no figures of a GPU have been recorded; .* --record"):  # fmt: skip
        recorded("cuda", file)
    with pytest.raises(ValueError, match="kind: expected one of cpu, cuda, got 'gpu'"):
        recorded("gpu", file)


def test_the_newest_of_a_kind_is_taken(file):
    newer = replace(RECEIPT, device="Another CPU", date="2026-12-01")
    write([newer, RECEIPT], file)
    assert recorded("cpu", file) == newer


# --- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda given: given["rows"][0].update(seconds=0.4),
        lambda given: given["rows"][0].update(n=8192),
        lambda given: given.update(device="A GPU"),
        lambda given: given.update(date="2026-11-27"),
        lambda given: given.update(checksum="0" * 64),
        lambda given: given["rows"].append(given["rows"][0]),
    ],
)
def test_what_was_edited_by_hand_is_refused(file, change):
    with pytest.raises(ValueError, match="its checksum does not fit"):
        load(edited(file, change))


@pytest.mark.parametrize(
    "change",
    [
        lambda given: given.pop("checksum"),
        lambda given: given.pop("rows"),
        lambda given: given["rows"][0].pop("n"),
        lambda given: given["rows"][0].update(speed=3),
    ],
)
def test_what_is_no_receipt_is_refused(file, change):
    with pytest.raises(
        ValueError, match=r"receipts\.json: expected a list of receipts"
    ):
        load(edited(file, change))
    file.write_text("{")
    with pytest.raises(
        ValueError, match=r"receipts\.json: expected a list of receipts"
    ):
        load(file)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        (replace(RECEIPT, kind="tpu"), "kind is 'tpu'"),
        (replace(RECEIPT, kind="cuda"), "a GPU without the version of its driver"),
        (replace(RECEIPT, date="26 November"), "date is '26 November'"),
        (replace(RECEIPT, device=""), "device is missing"),
        (replace(RECEIPT, rows=()), "rows is missing"),
        (replace(RECEIPT, rows=(replace(ROW, step="backward"),)), "step is 'backward'"),
        (replace(RECEIPT, rows=(replace(ROW, seconds=None),)), "either seconds, or why"),
        (replace(RECEIPT, rows=(replace(ROW, why="no room"),)), "either seconds, or why"),
        (replace(RECEIPT, rows=(replace(ROW, seconds=0.0),)), r"0\.0 is not more than 0"),
        (replace(RECEIPT, rows=(replace(ROW, limit=-1.0),)), r"-1\.0 is not more than 0"),
        (replace(RECEIPT, rows=(replace(ROW, peak=-1),)), "a peak of -1 bytes"),
    ],
)  # fmt: skip
def test_what_no_recorder_can_write_is_refused(file, changed, fault):
    write([changed], file)  # with a checksum that fits
    with pytest.raises(ValueError, match=fault):
        load(file)


def test_a_peak_of_nothing_and_a_method_that_could_not_run_are_fine(file):
    rows = (replace(ROW, peak=0), replace(ROW, seconds=None, peak=None, why="no room"))
    write([replace(RECEIPT, rows=rows)], file)
    assert load(file)[0].rows == rows


# --- the recorder -------------------------------------------------------------------------------------


def test_recording_adds_a_receipt_and_replaces_an_older_one(file, capsys, monkeypatch, uncompiled):  # fmt: skip
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    older = replace(RECEIPT, device=recorder._cpu())
    write([RECEIPT, older], file)
    threads = torch.get_num_threads()
    assert recorder.main(Namespace(record=True, file=file, length=200)) == 0
    assert torch.get_num_threads() == threads
    kept, new = load(file)
    assert kept == RECEIPT
    assert (new.device, new.date) == (older.device, date.today().isoformat())
    assert {row.n for row in new.rows} == {200}
    assert str(new) in capsys.readouterr().out
    forward, both = (
        {row.method: row for row in new.rows if row.step == step}
        for step in ("forward", "forward and backward")
    )
    assert "no-such-compiler was not found" in forward["FlexAttention"].why
    assert forward["dense"].seconds > 0
    assert forward["tiled"].seconds > 0
    of_array = forward["SDPA, mask as an array"].peak
    assert of_array is None or of_array >= 200**2  # the array itself counts
    assert both["tiled"].limit == pytest.approx(3.5 * forward["tiled"].limit)


def measured(room):
    """Of 64 tokens, the forward rows by method."""
    rows = recorder.measure("cpu", (64,), 10, 2, (torch.float32,), room)
    return {row.method: row for row in rows if row.step == "forward"}


def test_the_limit_is_the_time_of_the_allowed_pairs(monkeypatch, uncompiled):
    monkeypatch.setattr(recorder, "_rate", lambda kind, dtype: 1e9)
    pairs = n_pairs(causal & window(10), 64)
    assert measured(2**20)["tiled"].limit == 2 * 4 * 64 * pairs / 1e9


def test_what_has_no_room_is_left_out_and_says_so(monkeypatch, uncompiled):
    """The array is 64² bytes; the scores of two heads are 2 · 64² numbers of four, which dense holds four times."""
    monkeypatch.setattr(recorder, "_rate", lambda kind, dtype: 1e9)
    assert measured(4 * 2 * 4 * 64**2)["dense"].seconds > 0
    assert measured(4 * 2 * 4 * 64**2 - 1)["dense"].why.startswith("its scores are")
    assert measured(64**2)["SDPA, mask as an array"].seconds > 0
    rows = measured(64**2 - 1)
    assert rows["SDPA, mask as an array"].why.startswith("its mask is")
    assert rows["tiled"].seconds > 0


def test_a_damaged_file_is_a_sentence(file, capsys):
    edited(file, lambda given: given.update(date="2026-11-27"))
    told = Namespace(record=False, file=file, length=None)
    assert recorder.main(told) == 2
    assert "its checksum does not fit" in capsys.readouterr().err


def test_the_ways_to_make_a_mask_make_the_same():
    from torch.nn.attention.flex_attention import create_block_mask

    mask = causal & window(100)
    ways = recorder._masks(mask, 300, "cpu")
    wanted = create_block_mask(mask, None, None, 300, 300, device="cpu").to_dense()
    for name in ("create_block_mask", "lib.flex.block_mask"):
        assert torch.equal(ways[name].call().to_dense(), wanted), name
