"""The sandbox around a worker: bubblewrap, with what a learner's code may see, and limits on what it may use.

Inside there is no network, no other process and no file but the Python installation and the package, read-only, without
reference answers; and a private temporary folder that vanishes. A filter of system calls and limits on memory, size of
files and processor time hold what namespaces do not. book/grade_a_class.md tells what that protects from, and what not.
"""

import os
import pwd
import shutil
import site
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lib.grading.syscalls import filter_program
from lib.grading.wire import Channel, Gone, TooLate

PACKAGE = Path(__file__).resolve().parents[1]
# Of the package, what no submission may read.
PRIVATE = ("grading/references", "authoring")
COURSE = "/course"  # where the package lies inside
SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
TEMPORARY = 64 * 2**20  # bytes in the temporary folder
MEMORY = 2 * 2**30  # bytes of address space
FIRST_UNUSED, LAST_UNUSED = 61_184, 65_519  # user numbers that no account has
ENVIRONMENT = {
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "MPLBACKEND": "agg",
    "MPLCONFIGDIR": "/tmp",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONUTF8": "1",
}
START = (
    "import sys; sys.path[:0] = [{course!r}]; sys.path += {packages!r}; "
    "from lib.grading.worker import main; main({reading}, {writing}, {uid}, {limits!r})"
)
HOW_TO_INSTALL = (
    "bubblewrap is not installed, and submissions run inside it. On Debian and Ubuntu: sudo apt install bubblewrap. "
    "On macOS and Windows, grade in WSL or in a Linux container."
)
NOT_PERMITTED = (
    "bubblewrap is installed, but it may not make a sandbox here. It says: {said}\n"
    "Ubuntu 24.04 and newer want an AppArmor profile that lets bwrap make user namespaces (the package "
    "apparmor-profiles has one, bwrap-userns-restrict); a container has to be started so that it may make them, with "
    "--security-opt seccomp=unconfined --security-opt apparmor=unconfined; and bubblewrap must be 0.8 or newer."
)


NOT_READABLE = (
    "A sandbox can be made, but the worker does not start in it. It runs as a user without rights: are the folders of "
    "Python and of {package} readable for everybody?"
)


class NoSandbox(RuntimeError):
    """Why submissions cannot be run safely here, and what to do."""


@dataclass(frozen=True)
class Sandbox:
    """How workers are started. `hidden` folders are never seen inside; `safe=False` leaves the sandbox out."""

    hidden: tuple[Path, ...] = ()
    safe: bool = True
    seconds: int = 600  # of processor time, when everything else has failed to stop it

    def require(self) -> None:
        """Make a sandbox and let a worker start in it; NoSandbox with the reason where that fails."""
        if not shutil.which("bwrap"):
            raise NoSandbox(HOW_TO_INSTALL)
        try:
            with _filter() as rules:
                tried = subprocess.run(
                    [*self._walls(rules), *_python("print('ready')")],
                    pass_fds=[rules], env={}, capture_output=True, text=True, check=False,
                )  # fmt: skip
        except LookupError as error:
            raise NoSandbox(str(error)) from None
        if tried.stdout != "ready\n":
            said = tried.stderr.strip()[-500:] or "nothing"
            raise NoSandbox(NOT_PERMITTED.format(said=said))
        process, channel = self.start()
        try:
            channel.send({"do": "begin", "course": []})
            channel.receive(until=time.monotonic() + 60)
        except (Gone, TooLate):
            raise NoSandbox(NOT_READABLE.format(package=PACKAGE)) from None
        finally:
            end(process, channel)

    def start(self) -> tuple[subprocess.Popen, Channel]:
        """A new worker, and the channel to it."""
        asked, asking = os.pipe()
        told, telling = os.pipe()
        code = START.format(
            course=COURSE if self.safe else str(PACKAGE.parent),
            packages=_packages(),
            reading=asked,
            writing=telling,
            uid=_unused_uid() if self.safe and os.getuid() == 0 else 0,
            limits=self._limits() if self.safe else {},
        )
        with _filter() as rules:
            walls = self._walls(rules) if self.safe else []
            process = subprocess.Popen(
                [*walls, *_python(code)],
                pass_fds=[asked, telling, rules],
                env={} if self.safe else ENVIRONMENT,
                cwd=tempfile.gettempdir(),
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        os.close(asked)
        os.close(telling)
        return process, Channel(told, asking)

    def _limits(self) -> dict[str, int]:
        return {
            "AS": MEMORY,
            "CORE": 0,
            "CPU": self.seconds,
            "FSIZE": TEMPORARY,
            "NOFILE": 64,
            "NPROC": 1,
        }

    def _walls(self, rules: int) -> list[str]:
        """The command line of bubblewrap, up to what runs inside; `rules` is the open file with the filter."""
        walls = [
            str(shutil.which("bwrap")),
            "--die-with-parent",
            "--new-session",
            "--clearenv",
        ]
        walls += ["--seccomp", str(rules)]
        for name, value in ENVIRONMENT.items():
            walls += ["--setenv", name, value]
        walls += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
        walls += ["--unshare-cgroup-try", "--hostname", "sandbox", "--cap-drop", "ALL"]
        if os.getuid() == 0:  # the worker gives up root by itself, before anything else
            walls += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        else:  # alone inside: a helper of the same user would be at its mercy
            walls += ["--unshare-user", "--disable-userns", "--as-pid-1"]
        walls += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]
        walls += ["--perms", "1777", "--size", str(TEMPORARY), "--tmpfs", "/tmp"]
        shown = list(_shown())
        binds = [(path, path) for path in shown] + [(PACKAGE, Path(COURSE, "lib"))]
        for folder in _folders_to(inside for _, inside in binds):
            walls += ["--perms", "0755", "--dir", str(folder)]
        for path, inside in binds:
            walls += ["--ro-bind", str(path), str(inside)]
        for path in _out_of_sight(shown, self.hidden):
            walls += ["--tmpfs", path, "--remount-ro", path]
        return [*walls, "--chdir", "/tmp", "--remount-ro", "/", "--"]


def _python(code: str) -> list[str]:
    """This Python, without its environment: what it imports beside the standard library is said in the code."""
    return [os.path.realpath(sys.executable), "-s", "-S", "-P", "-B", "-c", code]


@contextmanager
def _filter() -> Iterator[int]:
    """A file with the filter of system calls, open for a moment: its number."""
    with tempfile.TemporaryFile() as file:
        file.write(filter_program())
        file.seek(0)
        yield file.fileno()


def _packages() -> list[str]:
    """The folders of installed packages, as this process has them."""
    own = {
        *site.getsitepackages(),
        sysconfig.get_path("purelib"),
        sysconfig.get_path("platlib"),
    }
    own.add(site.getusersitepackages())
    return [path for path in dict.fromkeys(sys.path) if path in own]


def _shown() -> Iterator[Path]:
    """What is seen inside: system libraries, this Python, the installed packages."""
    base = {"base": sys.base_prefix, "platbase": sys.base_exec_prefix}
    paths = [*SYSTEM, os.path.realpath(sys.executable), *_packages()]
    paths += [sysconfig.get_path(name, vars=base) for name in ("stdlib", "platstdlib")]
    library = sysconfig.get_config_var("INSTSONAME") or ""
    if ".so" in library:  # Python itself, where it is a shared library
        paths.append(os.path.join(sysconfig.get_config_var("LIBDIR"), library))
    yield from map(Path, filter(os.path.exists, dict.fromkeys(map(str, paths))))


def _folders_to(paths: Iterable[Path]) -> list[Path]:
    """The folders above these, which have to be made so that everybody may pass through them."""
    above = {folder for path in paths for folder in path.parents}
    return sorted(above - {Path("/")})


def _out_of_sight(shown: Sequence[Path], hidden: Sequence[Path]) -> Iterator[str]:
    """Folders that lie inside what is shown and are covered, each as its path inside."""
    yield from (f"{COURSE}/lib/{part}" for part in PRIVATE if (PACKAGE / part).is_dir())
    # The course may be installed a second time, among the packages.
    copies = [PACKAGE, *(folder / PACKAGE.name for folder in shown)]
    private = [copy / part for copy in copies for part in PRIVATE] + list(hidden)
    for path in map(Path.resolve, private):
        for folder in shown:
            real = folder.resolve()
            if path.is_dir() and path != real and path.is_relative_to(real):
                yield str(folder / path.relative_to(real))


def _unused_uid() -> int:
    """A user number without an account."""
    taken = {account.pw_uid for account in pwd.getpwall()}
    free = (uid for uid in range(FIRST_UNUSED, LAST_UNUSED) if uid not in taken)
    return next(free)


def end(process: subprocess.Popen, channel: Channel) -> None:
    """Stop a worker, and with it everything that runs in its sandbox."""
    process.kill()
    process.wait()
    channel.close()
