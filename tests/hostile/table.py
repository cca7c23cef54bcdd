"""Submissions that are hostile or broken, as a table: what somebody does, where, and what it may cost.

`HARM` is done inside a notebook that is right everywhere else: at most question 1.1 may be lost. `CHEATS` stand in a
notebook that answers nothing: it must stay without points. `FILES` are no notebooks, or damaged ones.
"""

import json

# Talks to the grader in the worker's place.
FORGE = """
import json, os, stat, struct
def say(message):
    text = json.dumps(message).encode()
    for number in range(3, 64):
        try:
            if stat.S_ISFIFO(os.fstat(number).st_mode): os.write(number, struct.pack('>II', len(text), 0) + text)
        except OSError: pass
"""
# What somebody does: Python code, run in a cell of its own, in the cell of an answer, and inside an answer.
HARM = {
    "an endless loop": "while True: pass",
    "an endless loop that catches everything": """
while True:
    try:
        while True: pass
    except BaseException:
        pass
""",
    "a loop in C, which hears no signal": "sum(iter(int, 1))",
    "sleep": "__import__('time').sleep(1e6)",
    "os._exit": "__import__('os')._exit(0)",
    "a segmentation fault": "import ctypes; ctypes.string_at(0)",
    "sys.exit": "import sys; sys.exit(0)",
    "a kill of everything": "import os, signal; os.kill(-1, signal.SIGKILL)",
    "a fork bomb": "import os\nwhile True: os.fork()",
    "threads without end": "import threading\nwhile True: threading.Thread(target=print).start()",
    "a memory hog": "hog = [bytearray(2**20) for _ in range(2**20)]",
    "memory of the kernel": "import os\nfiles = [os.memfd_create(str(n)) for n in range(100)]",
    "100 MB of output": "for _ in range(100): print('x' * 2**20)",
    "a full disk": "for n in range(10**4): open(f'/tmp/{n}', 'wb').write(bytes(2**24))",
    "recursion without end": "import sys; sys.setrecursionlimit(10**9)\ndef f(): return f()\nf()",
    "an import that never ends": """
import sys
open('/tmp/slow.py', 'w').write('while True: pass')
sys.path.append('/tmp')
import slow
""",
    "a process that stays": "import subprocess; subprocess.Popen(['python3', '-c', 'while True: pass'])",
    "a time bomb": "import signal; signal.setitimer(signal.ITIMER_VIRTUAL, 0.01)",
    "an error": "1 / 0",
    "a text that is no Python": "this is no Python",
    "closed pipes": "import os; os.closerange(0, 64)",
    "noise in every pipe": """
import os
for number in range(3, 64):
    try: os.write(number, b'\\xff' * 4000)
    except OSError: pass
""",
    "a message too large": """
import os, struct
for number in range(3, 64):
    try: os.write(number, struct.pack('>II', 2**32 - 1, 2**32 - 1))
    except OSError: pass
""",
    "NumPy patched": """
import numpy
for name in ('array', 'asarray', 'allclose', 'array_equal', 'isfinite'): setattr(numpy, name, None)
""",
    "answers that nobody asked for": f"{FORGE}\nsay({{'value': 5}}); say({{'error': '', 'missed': ''}})",
    "no more files": "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))",
    "no more memory": "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**20, 2**31))",
    "every module forgotten": "import sys; sys.modules.clear()",
    "every name forgotten": "if 'weighted_sum' in globals(): globals().clear()",
    "an error whose text is an error": """
class Evil(Exception):
    def __str__(self): return 1 / 0
raise Evil
""",
    "a bomb of JSON": """
import os, struct
bomb = b'{"error": [' + b'[],' * 4_000_000 + b'[]]}'
for number in range(3, 64):
    try: os.write(number, struct.pack('>II', len(bomb), 0) + bomb)
    except OSError: pass
""",
    "the worker's words patched": """
import lib.grading.answers, lib.grading.wire
lib.grading.answers.Answers.call = lambda *_, **__: 1 / 0
""",
}
PLACES = ("in a cell of its own", "in the cell of an answer", "in an answer")
# How somebody wants points without an answer. `{secrets}` are the paths that an instructor has.
CHEATS = {
    "equal to everything": """
class Same:
    def __eq__(self, other): return True
    def __array__(self, *_, **__): return self
    def __getattr__(self, name): return self
    def __call__(self, *_, **__): return self
    def __float__(self): return 1.0
weighted_sum = window_means = query_weights = scores_for = my_difference = diagnosis = heavy_weights = Same()
""",
    "an array of objects that agree": """
import numpy as np
class Same:
    def __eq__(self, other): return True
    __hash__ = None
def weighted_sum(weights, values): return np.array([Same()] * values.shape[1], dtype=object)
""",
    "a subclass of an array that agrees": """
import numpy as np
class Same(np.ndarray):
    def __eq__(self, other): return np.ones(self.shape, bool)
    def __array_function__(self, *_): return True
    def __array_ufunc__(self, *_, **__): return np.array(True)
def weighted_sum(weights, values): return np.zeros(values.shape[1]).view(Same)
""",
    "the checker patched": """
import lib.grading.checks as checks, lib.grading.student as student
checks.judge = checks.verdict = lambda *_, **__: ('solved', None)
student.Student.same = student.Student.expect = lambda *_, **__: None
""",
    "NumPy's comparisons patched": """
import numpy as np
np.allclose = np.array_equal = np.isclose = lambda *_, **__: True
np.asarray = lambda *_, **__: np.ones(1)
""",
    "an AST transformer": """
import ast
class Agree(ast.NodeTransformer):
    def visit_Compare(self, node): return ast.Constant(True)
get_ipython().ast_transformers.append(Agree())
""",
    "the solutions": """
import glob, os
found = [open(path, errors='replace').read() for path in {secrets!r} if os.path.isfile(path)]
found += [os.listdir(path) for path in {secrets!r} if os.path.isdir(path)]
print(found)
if found: raise ValueError(str(found))
def weighted_sum(weights, values):
    print(found)
    raise ValueError(str(found))
""",
    "the reference answers": """
from lib.grading.references.exercise_01 import *
""",
    "the reference answers, from the package's files": """
import glob, os
for path in glob.glob('/**/exercise_01*', recursive=True):
    exec(open(path).read())
""",
    "the checks of the grader, through the folder proc": """
import os
for number in [1, os.getppid()]:
    for name in ('environ', 'cmdline', 'maps', 'mem', 'root/etc/passwd'):
        try: print('SEEN', open(f'/proc/{number}/{name}', 'rb').read(200))
        except OSError: pass
""",
    "the wrong answer sent as the checker's word": """
import json, os, struct
text = json.dumps(dict(status='solved', earned=18, points=18, value=True, result='solved')).encode()
for number in range(3, 64):
    try: os.write(number, struct.pack('>II', len(text), 0) + text)
    except OSError: pass
""",
    "a pickle in the channel": """
import os, pickle, struct
class Evil:
    def __reduce__(self): return os.system, ('touch /tmp/pickled',)
data = pickle.dumps(Evil())
text = b'{"value": {"array": 0}}'
frame = struct.pack('>II', len(text), 1) + text + struct.pack('>I', len(data)) + data
def weighted_sum(weights, values):
    for number in range(3, 64):
        try: os.write(number, frame)
        except OSError: pass
""",
    "a forged array, larger than it is": """
import os, struct
head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
data = b'\\x93NUMPY\\x01\\x00' + struct.pack('<H', len(head)) + head
text = b'{"value": {"array": 0}}'
frame = struct.pack('>II', len(text), 1) + text + struct.pack('>I', len(data)) + data
def weighted_sum(weights, values):
    for number in range(3, 64):
        try: os.write(number, frame)
        except OSError: pass
""",
    "text for the page and for a spreadsheet": """
student_id = '=HYPERLINK("http://x")<script>alert(1)</script>'
def weighted_sum(weights, values): raise ValueError('<img src=x onerror=alert(1)>`<script>alert(2)</script>`')
def window_means(values, w):
    print('</dd><script>alert(3)</script>')
    return 3
raise ValueError('<script>alert(4)</script>')
""",
    "the network": """
import socket, urllib.request
seen = urllib.request.urlopen('http://127.0.0.1').read()
print('SEEN', seen)
""",
    "writing to the course": """
import os
for folder in {secrets!r} + ['/course/lib', '/usr/lib', '/', '/dev/shm', os.path.dirname(os.__file__)]:
    try: open(os.path.join(folder, 'written_by_a_submission'), 'w').write('x')
    except OSError: pass
""",
    "new namespaces": """
import ctypes
libc = ctypes.CDLL(None)
for flags in (0x10000000, 0x00020000, 0x20000000, 0x40000000):
    if libc.unshare(flags) == 0: print('SEEN a new namespace')
if libc.mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0: print('SEEN a mount')
if libc.setuid(0) == 0: print('SEEN root')
""",
    "a view of gigantic shape": """
import numpy as np
my_difference = diagnosis = heavy_weights = np.broadcast_to(0.5, (10**12,))
def weighted_sum(weights, values): return my_difference
""",
    "an array interface that lies": """
class Liar:
    __array_interface__ = {'shape': (3,), 'typestr': '<f8', 'data': (4096, False), 'version': 3}
def weighted_sum(weights, values): return Liar()
my_difference = Liar()
""",
    "NaN everywhere": """
import numpy as np
my_difference, diagnosis, heavy_weights, heavy_values = np.nan, (np.nan,) * 4, [np.nan] * 3, [[np.nan]] * 3
breaking_input = (np.full((2, 1), np.nan),) * 3
def weighted_sum(weights, values): return np.full(values.shape[1], np.nan)
def window_means(values, w): return np.full(values.shape, np.nan)
""",
    "the word unsolved for everything": """
import gc
for thing in gc.get_objects():
    if type(thing).__name__ == 'Worker': thing.do_ask = lambda **_: {'unsolved': True}
""",
    "what a hidden check asks, told by a visible one": """
seen = []
def weighted_sum(weights, values):
    seen.append(values)
    raise ValueError(repr(seen[-1]))
""",
}

# What stands at the end of a right notebook, and the points that are left of some questions.
BORROWED = {
    "an id that becomes another's": (
        """
class Id(str):
    asked = 0
    def __str__(self):
        Id.asked += 1
        return 'mallory' if Id.asked == 1 else 'ada'
student_id = Id()
[percent] = own_numbers('ada', '1.4', count=1, low=22, high=39)
my_difference = np.log((100 - percent) / percent)
""",
        {"1.4": 2},
    ),
}
# In exercise 04, whose checks hand over functions of the course: one is asked for again and again, by a worker whose
# timers are off.
WITHOUT_END = """
def is_causal(f, x):
    import signal
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    while True:
        try: f(np.zeros((60, 1)))
        except Exception: pass
"""

NOT_A_NOTEBOOK = {
    "empty": b"",
    "no JSON": b"\x00\xff not json",
    "a list": b"[1, 2, 3]",
    "nested too deeply": b"[" * 200_000,
    "a huge number": b'{"cells": ' + b"9" * 10_000 + b"}",
    "without cells": b'{"metadata": {}}',
    "cells that are none": b'{"cells": [1, null, "x", {"cell_type": "code", "source": {"a": 1}}]}',
    "a lone surrogate": json.dumps(
        {"cells": [{"cell_type": "code", "source": "1 / 0  # \ud800"}]}
    ).encode(),
    "a zip file": b"PK\x03\x04" + bytes(1000),
}
