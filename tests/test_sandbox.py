"""What holds a submission: messages that cannot harm, the filter of system calls, the walls."""

import errno
import io
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sandboxed import require_sandbox

from lib.grading import sandbox, wire
from lib.grading.faults import Wrong
from lib.grading.foundation import ground, stands
from lib.grading.grading import _student_id
from lib.grading.hosted import Notebook, called, legible
from lib.grading.remote import RemoteAnswers, RemoteStudent
from lib.grading.report import harmless
from lib.grading.sandbox import NoSandbox, Sandbox, end
from lib.grading.submissions import Unusable, cells_of, content, submissions_in
from lib.grading.syscalls import REFUSED, filter_program
from lib.grading.wire import BadMessage, Channel, Gone, TooLate, array_from
from lib.masks import causal, explicit


@pytest.fixture
def channels():
    """Two ends of a channel."""
    here, there = os.pipe(), os.pipe()
    ends = Channel(here[0], there[1]), Channel(there[0], here[1])
    yield ends
    for one in ends:
        one.close()


@pytest.mark.parametrize("value", [
    None, True, 3, 0.5, "ú ∞", [1, "two"], np.arange(6.0).reshape(2, 3), np.array(True), np.array([True, False]),
    np.float32([[1, -np.inf], [np.nan, 0]]), np.asfortranarray(np.arange(6).reshape(2, 3)),
    np.zeros((0, 2)), np.int8(4),
])  # fmt: skip
def test_a_value_arrives_as_it_was_sent(channels, value):
    here, there = channels
    here.send({"value": value, "more": [value, value]})
    got = there.receive(until=time.monotonic() + 5)
    for arrived in (got["value"], got["more"][1]):
        assert type(arrived) is type(value)
        if isinstance(value, np.ndarray | np.generic):
            assert arrived.dtype == value.dtype
            assert arrived.shape == value.shape
            np.testing.assert_array_equal(arrived, value)
        else:
            assert arrived == value


def npy(array, **how):
    file = io.BytesIO()
    np.save(file, array, **how)
    return file.getvalue()


def header(text, data=b""):
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + data


@pytest.mark.parametrize("data", [
    b"", b"not an array", npy(np.array([{}]), allow_pickle=True), npy(np.array(["text"])), npy(np.array([1j])),
    npy(np.zeros(2, [("a", "f8")])), npy(np.zeros(2))[:-1], npy(np.zeros(2)) + b"x",
    header("{'descr': '<f8', 'fortran_order': False, 'shape': (10**12,), }\n"),
    header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }\n"),
    header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -8), }\n", bytes(64)),
    header("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n", bytes(8)),
    header("{'descr': 'V0', 'fortran_order': False, 'shape': (9999999999,), }\n"),
    header("__import__('os').system('touch /tmp/evaluated')\n"), header("(" * 400 + ")" * 400),
])  # fmt: skip
def test_what_is_no_array_of_numbers_is_refused(data):
    with pytest.raises(BadMessage):
        array_from(data)


def test_a_boolean_is_0_or_1_whatever_byte_comes():
    forged = array_from(npy(np.array([True, False]))[:-2] + b"\x02\x00")
    assert forged.view(np.uint8).tolist() == [1, 0]


@pytest.mark.parametrize("sent", [
    struct.pack(">II", 2**32 - 1, 0), struct.pack(">II", 2, 2**32 - 1), struct.pack(">II", 2, 0) + b"[]",
    struct.pack(">II", wire.MOST_TEXT + 1, 0),
    struct.pack(">II", 3, 0) + b"\xff{}", struct.pack(">II", 2, 1) + b"{}" + struct.pack(">I", 2**32 - 1),
    struct.pack(">II", 24, 0) + b'{"value": {"array": 0}} ', struct.pack(">II", 2000, 0) + b"[" * 2000,
])  # fmt: skip
def test_what_is_no_message_is_refused(channels, sent):
    here, there = channels
    os.write(there._writing, sent)
    with pytest.raises(BadMessage):
        here.receive(until=time.monotonic() + 5)


def test_a_message_that_is_too_large_is_not_sent(channels, monkeypatch):
    monkeypatch.setattr(wire, "MOST_BYTES", 1000)
    with pytest.raises(BadMessage, match="at most 1,000"):
        channels[0].send({"value": [np.zeros(100), np.zeros(100)]})


def test_a_view_that_is_larger_than_what_it_shows_is_not_written_out(
    channels, monkeypatch
):
    monkeypatch.setattr(np, "save", None)
    with pytest.raises(BadMessage, match="at most"):
        channels[0].send({"value": np.broadcast_to(0.5, (10**12,))})


def test_a_pipe_that_is_filled_or_drained_in_between_holds_nobody(
    channels, monkeypatch
):
    """Who forges may open its pipes once more, and do so between our look and our reading or writing."""
    here, _ = channels
    assert not os.get_blocking(here._reading)
    assert not os.get_blocking(here._writing)
    with suppress(BlockingIOError):
        while True:
            os.write(here._writing, bytes(4096))

    def ready_and_late():
        yield
        raise TooLate

    for use in (lambda: here.send({}), here.receive):
        looks = ready_and_late()
        monkeypatch.setattr(wire, "_wait", lambda *_, looks=looks: next(looks))
        with pytest.raises(TooLate):
            use()


def test_who_is_silent_is_late_and_who_has_ended_is_gone(channels):
    here, there = channels
    with pytest.raises(TooLate):
        here.receive(until=time.monotonic())
    reading, writing = os.pipe()
    os.close(writing)
    with pytest.raises(Gone):
        Channel(reading, there._writing).receive(until=time.monotonic() + 5)
    os.close(reading)


class Forger:
    """Stands for a notebook whose worker says whatever its learner likes."""

    starts = 0

    def __init__(self, *values):
        self.values = list(values)

    def ask(self, *_, **__):
        return {"value": self.values.pop(0), "printed": 5, "figures": "many"}

    def lost(self, name, fault):
        return Wrong(f"{name}: {fault}")


FORGED = {
    "a text for an array": (lambda s: s.call("f", 1), ["solved"]),
    "a number for an array": (lambda s: s.call("f", 1), [np.float64(1)]),
    "nothing": (lambda s: s.value("f"), [None]),
    "three for two": (lambda s: s.values("f", 2), [[np.zeros(1)] * 3]),
    "texts for arrays": (lambda s: s.values("f", 1), [["x"]]),
    "a list for words": (lambda s: s.words("f"), [["x"]]),
    "numbers for words": (lambda s: s.words("f"), [{"a": 1}]),
    "too many words": (
        lambda s: s.words("f"),
        [dict.fromkeys(map(str, range(101)), "")],
    ),
    "no mask": (lambda s: s.masks("f", 1), [["{}"]]),
    "a mask that never ends": (lambda s: s.masks("f", 1), [["[" * 60_000]]),
    "one mask for two": (lambda s: s.masks("f", 2), [[causal.to_json()]]),
    "a mask that is too long": (
        lambda s: s.masks("f", 1),
        [[" " * 2**17 + causal.to_json()]],
    ),
    "a large table as a mask": (
        lambda s: s.masks("f", 1),
        [[explicit(np.eye(65, dtype=bool)).to_json()]],
    ),
    "an array for a model": (lambda s: s.model("f", seed=0), [np.zeros(1)]),
    "a text for outputs": (
        lambda s: s.model("f", seed=0).outputs(np.zeros(1)),
        [0, "x"],
    ),
    "a text for sizes": (lambda s: s.model("f", seed=0).sizes("a"), [0, [["x"]]]),
    "true for a count": (
        lambda s: s.model("f", seed=0).taken_by("a", np.zeros(1)),
        [0, True],
    ),
    "texts for losses": (
        lambda s: s.model("f", seed=0).trained(0, 0, 1),
        [0, [["x"], []]],
    ),
    "numbers for names": (
        lambda s: s.model("f", seed=0).trained(0, 0, 1),
        [0, [[1.0], [1]]],
    ),
}


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_answer_is_wrong(case):
    """Whatever the worker says, a check meets what it has asked for, or a sentence."""
    ask, values = FORGED[case]
    with pytest.raises(Wrong):
        ask(RemoteStudent(RemoteAnswers(Forger(*values)), None))


def test_a_true_answer_passes_where_forged_ones_do_not():
    student = RemoteStudent(
        RemoteAnswers(Forger(np.ones(2), [causal.to_json()], {"a": "b"})), None
    )
    assert student.call("f", 1).tolist() == [1, 1]
    assert student.masks("f", 1) == [causal]
    assert student.words("f") == {"a": "b"}


def test_what_is_handed_to_a_function_of_the_course_is_checked():
    asked = {"function": 0, "arguments": [np.arange(3.0), 2]}
    assert called([lambda x, n: n * x], asked)["value"].tolist() == [0, 2, 4]
    assert (
        called([lambda x, n: 1 / 0], asked)["raised"]
        == "ZeroDivisionError: division by zero"
    )
    for forged in ({"function": 1}, {"function": True}, {"arguments": ["x"]}, {"arguments": 5},
                   {"arguments": [np.zeros(2**17)]}):  # fmt: skip
        with pytest.raises(BadMessage):
            called([len], asked | forged)


def test_a_function_of_the_course_is_held_to_the_time_of_the_check():
    """While it computes, the grader does not wait for the worker: numbers that never end are stopped."""
    asked = [{"function": 0, "arguments": [10**9]}, {"value": 1, "number": 1}]
    notebook, seen = notebook_with(lambda _: asked.pop(0)), []
    answer = notebook._exchange({}, 1, [lambda n: seen.append(notebook.busy) or n])
    assert answer["value"] == 1
    assert seen == [False]


def notebook_with(answer):
    """A notebook whose worker sends what `answer(its request)` gives."""
    asked = []
    worker = SimpleNamespace(
        send=lambda request, **_: asked.append(request),
        receive=lambda **_: answer(asked[-1]),
        close=lambda: None,
    )
    notebook = Notebook([], [], Sandbox(), seconds=1, in_all=1)
    process = SimpleNamespace(kill=lambda: None, wait=lambda: None)
    notebook._worker = (process, worker)
    notebook._question_until = notebook._until
    return notebook


def test_a_function_that_is_asked_for_without_end_is_late():
    asked = [{"function": 0, "arguments": []}] * 3 + [{"number": 1}]
    notebook = notebook_with(lambda _: asked.pop(0))
    with pytest.raises(TooLate):
        notebook._exchange({}, -10, [lambda: 0])


def test_a_question_ends_when_the_time_of_the_notebook_is_over(monkeypatch):
    notebook = Notebook([], [], Sandbox(), seconds=1, in_all=1)
    notebook.begin_check(10**6)
    assert notebook._question_until <= notebook._until
    asked = []
    notebook._worker = None, SimpleNamespace(close=lambda: None)
    notebook._exchange = lambda request, seconds: asked.append(seconds)
    notebook._until = time.monotonic() + 0.3
    notebook.begin_check(1)
    assert asked[0] <= 0.1  # and three times as long on a busy machine
    monkeypatch.setattr("lib.grading.hosted.end", lambda *worker: None)
    notebook._until = time.monotonic() - 1
    notebook.begin_check(1)
    assert notebook._worker is None
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"unsolved": True}, ""),
        ({"wrong": "none"}, ""),
        ({"value": " e\u0301ve "}, "\u00e9ve"),
        ({"value": "10x3 \u200b"}, "10x3 \u200b"),  # it has numbers of its own
        ({"value": "\ud800"}, ""),
    ],
)
def test_an_id_is_a_text_written_in_one_way(said, told):
    notebook = notebook_with(lambda asked: said | {"number": asked["number"]})
    assert _student_id(notebook, 1) == told


def test_what_answers_stand_on_is_missed(monkeypatch):
    before = ground({"a": 1, "b": 2})
    assert stands(before, {"a": 3, "b": 2, "c": 1})
    assert not stands(before, {"a": 1})
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "json")
        assert not stands(before, {"a": 1, "b": 2})
    with monkeypatch.context() as patch:
        patch.setattr(sys, "getrecursionlimit", lambda: 60)
        assert not stands(before, {"a": 1, "b": 2})
        patch.setattr(sys, "getrecursionlimit", lambda: 10**6)
        assert stands(before, {"a": 1, "b": 2})
    monkeypatch.setattr(resource, "getrlimit", lambda _: (3, 3))
    assert not stands(before, {"a": 1, "b": 2})


def test_an_answer_to_nothing_that_was_asked_is_none():
    """It was sent early, late or twice."""
    notebook = notebook_with(lambda _: {"value": 1, "number": 2})
    with pytest.raises(BadMessage):
        notebook._exchange({}, 1)
    assert notebook._exchange({}, 1)["value"] == 1
    for number in (np.array([3, 3]), 4.0, True, None):
        notebook = notebook_with(lambda _, n=number: {"value": 1, "number": n})
        with pytest.raises(BadMessage):
            notebook._exchange({}, 1)


def test_what_takes_no_input_stays_what_it_was():
    """Or a learner could show one mask to the check of its costs and another to the check of its range."""
    masks = iter([causal.to_json(), causal.to_json(), explicit([[True]]).to_json()])
    notebook = notebook_with(
        lambda asked: {"value": [next(masks)], "number": asked["number"]}
    )
    for _ in range(2):
        student = RemoteStudent(RemoteAnswers(notebook), None)
        assert student.masks("f", 1) == [causal]
    ids = iter([{"wrong": "no id"}, {"value": "ada"}])
    notebook = notebook_with(lambda asked: next(ids) | {"number": asked["number"]})
    for _ in range(2):
        with pytest.raises(Wrong, match="no id"):
            RemoteAnswers(notebook).text("student_id", default="")


@pytest.mark.parametrize("forged", [{"wrong": [[]]}, {"wrong": 5}])
def test_a_reason_that_is_no_text_is_none(forged):
    notebook = notebook_with(lambda asked: forged | {"number": asked["number"]})
    with pytest.raises(Wrong, match="cannot be judged"):
        RemoteAnswers(notebook).call("f", ())


def test_a_text_of_a_learner_is_cut_and_the_same_in_every_run():
    assert legible("<f at 0x7f01ab> \ud800\u202e\x00 é\n") == "<f at 0x…>  é\n"
    assert len(legible("x" * 10**6)) == 2000


@pytest.mark.parametrize(
    "text",
    ["=1", "+1", "-1", "@x", "\t=1", " =1", "\r=1", "\n=1", "\uff1d1", " \uff0b1"],
)
def test_a_spreadsheet_meets_no_formula(text):
    assert harmless(text).startswith("'")
    assert harmless("Ada") == "Ada"
    assert harmless(f"Ada;{text}").startswith("Ada;'")  # where ; ends a cell


def answered(program, machine, number):
    """What the kernel answers to that call, on that machine, by such a program."""
    steps, at, held = list(struct.iter_unpack("HBBI", program)), 0, None
    while True:
        code, yes, no, value = steps[at]
        if code == 0x06:  # return
            return value
        if code == 0x20:  # load
            held = {0: number, 4: machine}[value]
        else:  # jump if equal, or if at least
            at += yes if (held == value if code == 0x15 else held >= value) else no
        at += 1


@pytest.mark.parametrize(("machine", "name", "refused", "allowed"), [
    # fork, vfork, clone, socket, ptrace, unshare, mount, bpf, and a call of x32; read, write, futex
    ("x86_64", 0xC000003E, [57, 58, 56, 41, 101, 103, 157, 165, 206, 272, 321, 2**30 + 1], [0, 1, 202]),
    ("aarch64", 0xC00000B7, [220, 198, 117, 116, 97, 40, 0, 167, 280], [63, 64, 98]),
])  # fmt: skip
def test_the_filter_is_a_program_that_refuses_each_call(
    machine, name, refused, allowed
):
    """Each gets an error, clone3 "no such call", what is harmless passes; the calls of another machine end it."""
    program = filter_program(machine)
    column = ("x86_64", "aarch64").index(machine)
    listed = [numbers[column] for numbers in REFUSED.values()]
    for number in {*refused, *listed} - {None}:
        assert answered(program, name, number) == 0x00050000 | errno.EPERM, number
    assert answered(program, name, 435) == 0x00050000 | errno.ENOSYS
    for number in allowed:
        assert answered(program, name, number) == 0x7FFF0000
        assert answered(program, name + 1, number) == 0x80000000


def test_a_machine_without_numbers_is_refused():
    with pytest.raises(LookupError, match="this one is abacus"):
        filter_program("abacus")


def test_without_bubblewrap_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(NoSandbox, match=r"not installed.*apt install bubblewrap"):
        Sandbox().require()


def test_where_it_may_not_it_says_so(tmp_path, monkeypatch):
    """A bwrap that fails as it does where namespaces are forbidden."""
    fake = tmp_path / "bwrap"
    fake.write_text(
        "#!/bin/sh\necho 'bwrap: Creating new namespace failed: Operation not permitted' >&2\nexit 1\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        NoSandbox, match=r"installed, but it may not.*failed: Operation not permitted"
    ):
        Sandbox().require()


LOOK = """
import json, os, resource
def tried(action):
    try: return action()
    except OSError as error: return type(error).__name__
status = dict(line.split(':\\t') for line in open('/proc/self/status') if ':\\t' in line)
raise ValueError('SEEN' + json.dumps(dict(
    uid=os.getuid(), groups=os.getgroups(), root=sorted(os.listdir('/')), environ=sorted(os.environ),
    capabilities=int(status['CapEff'], 16), seccomp=int(status['Seccomp']), nnp=int(status['NoNewPrivs']),
    processes=[n for n in os.listdir('/proc') if n.isdigit()],
    references=tried(lambda: os.listdir('/course/lib/grading/references')),
    authoring=tried(lambda: os.listdir('/course/lib/authoring')),
    hidden=tried(lambda: os.listdir(HIDDEN)),
    limits={n: resource.getrlimit(getattr(resource, 'RLIMIT_' + n)) for n in LIMITS},
    net=open('/proc/net/dev').read().count(':'), fork=tried(os.fork),
    stays=[__import__('ctypes').CDLL(None).prctl(1, 0), __import__('ctypes').CDLL(None).klogctl(10, 0, 0)],
    written=[tried(lambda: open(p + '/x', 'w').name) for p in ('/', '/course', '/dev', '/dev/shm', '/usr/lib', '/tmp')],
)))
"""


def looked(user=None):
    """What a cell sees that looks around."""
    hidden = (
        Path(np.__file__).parent / "tests"
    )  # a private folder that lies inside what is shown
    process, channel = Sandbox(hidden=(hidden,)).start()
    try:
        until = time.monotonic() + 60
        source = LOOK.replace("HIDDEN", repr(str(hidden)))
        source = source.replace("LIMITS", repr([*Sandbox()._limits()]))
        channel.send({"do": "cell", "source": source, "seconds": 20}, until=until)
        return json.loads(channel.receive(until=until)["error"].partition("SEEN")[2])
    finally:
        end(process, channel)


def test_what_is_seen_inside():
    require_sandbox()
    seen = looked()
    assert seen["uid"] != 0
    assert seen["groups"] in ([], [seen["uid"]]) or os.getuid()
    assert {"tmp", "course", "usr", "proc", "dev"} <= set(seen["root"])
    assert (
        not {"home", "var", "mnt", "srv", "opt"} & set(seen["root"]) - _above_python()
    )
    assert seen["environ"] == sorted([*sandbox.ENVIRONMENT, "PWD"])
    assert (seen["capabilities"], seen["seccomp"], seen["nnp"]) == (0, 2, 1)
    assert len(seen["processes"]) == 2  # bubblewrap's own and this one
    assert seen["references"] == seen["authoring"] == seen["hidden"] == []
    assert seen["limits"] == {n: [most] * 2 for n, most in Sandbox()._limits().items()}
    assert seen["net"] == 1  # its own loopback
    assert seen["fork"] == "PermissionError"
    assert seen["stays"] == [-1, -1]
    *refused, temporary = seen["written"]
    assert temporary == "/tmp/x"
    assert set(refused) <= {"OSError", "PermissionError"}


def test_a_second_copy_of_the_course_shows_no_answers_either(tmp_path):
    (tmp_path / "lib/grading/references").mkdir(parents=True)
    covered = list(sandbox._out_of_sight([tmp_path], []))
    assert str(tmp_path / "lib/grading/references") in covered


def test_what_begins_inside_may_only_become_another_user():
    """Until the worker gives up root, it has the two rights for that; a user without rights has none at all."""
    require_sandbox()
    code = "print(open('/proc/self/status').read())"
    with sandbox._filter() as rules:
        told = subprocess.check_output(
            [*Sandbox()._walls(rules), *sandbox._python(code)],
            pass_fds=[rules], env={}, text=True,
        )  # fmt: skip
    setgid, setuid = 1 << 6, 1 << 7
    held = int(told.partition("CapEff:")[2].split()[0], 16)
    assert held == (0 if os.getuid() else setgid | setuid)


def _above_python():
    """Folders at the root under which Python lies."""
    return {path.parts[1] for path in sandbox._shown()}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_an_ordinary_user_grades_in_the_same_sandbox():
    """The command is run by a user without rights, from a copy of the package that everybody may read."""
    require_sandbox()
    if not _readable_python():
        pytest.skip("this Python lies in a folder that only root may pass")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        shutil.copytree(sandbox.PACKAGE, Path(folder, "lib"))
        script = (
            f"import sys; sys.path[:0] = [{folder!r}]\n"
            "from lib.grading.sandbox import Sandbox\nSandbox().require(); print('it works')"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], user=61_111, group=61_111, extra_groups=[],
            capture_output=True, text=True, check=False, cwd=folder,
        )  # fmt: skip
    assert done.stdout == "it works\n", done.stderr


def _readable_python():
    return all(
        folder.stat().st_mode & 0o001
        for path in (Path(os.path.realpath(sys.executable)), Path(np.__file__))
        for folder in path.resolve().parents
    )


def test_the_layouts_of_a_folder(tmp_path):
    def put(name, age=0):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
        os.utime(path, (1000 - age, 1000 - age))

    put("flat.ipynb")
    put("ada/my 02 final.ipynb", age=5)
    put("ada/02.ipynb")
    put("ada/102.ipynb")
    put("ada/.ipynb_checkpoints/02-checkpoint.ipynb")
    put("deep/a/b/exercise_02.ipynb")
    put("bob/03.ipynb")
    put("out/ada/02.ipynb")
    put("__MACOSX/02.ipynb")
    (tmp_path / "loop").symlink_to("loop")
    put("/".join(["abyss", *"x" * 100, "02.ipynb"]))
    found = {
        one.learner: one for one in submissions_in(tmp_path, "02", tmp_path / "out")
    }
    assert sorted(found) == ["abyss", "ada", "bob", "deep", "flat", "loop"]
    assert "not followed" in found["loop"].remarks[0]
    assert found["abyss"].path is None
    assert found["ada"].path == tmp_path / "ada/02.ipynb"
    assert "Not graded: my 02 final.ipynb" in found["ada"].remarks[0]
    assert found["deep"].path.name == "exercise_02.ipynb"
    assert found["bob"].path is None


def test_cells_of_an_old_notebook_and_with_lines():
    old = {
        "worksheets": [
            {"cells": [{"cell_type": "code", "input": ["a = 1\n", "b = 2"]}]}
        ]
    }
    assert cells_of(json.dumps(old).encode()) == ["a = 1\nb = 2"]


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with (tmp_path / "large.ipynb").open("wb") as file:
        file.truncate(33 * 2**20)
    with pytest.raises(Unusable, match="larger than 32 MiB"):
        content(tmp_path / "large.ipynb")
