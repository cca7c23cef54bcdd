"""An environment of its own for the other libraries, so that the course's keeps to what requirements.txt pins.

It lies on top of the course's: what that has is lent to it by a .pth file, so torch is not installed twice.
"""

import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".venv-bench"
# Of the extra `peers`, what `peers.py` measures; the others are there for the tests.
MEASURED = ("attn-gym", "local-attention")


def python_with_peers() -> Path:
    """The Python of `.venv-bench`, which is made first if it is not there or older than pyproject.toml."""
    python = FOLDER / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    stamp = FOLDER / ".installed"
    project = ROOT / "pyproject.toml"
    if stamp.exists() and stamp.stat().st_mtime > project.stat().st_mtime:
        return python
    print(f"Making {FOLDER.name} with the libraries to compare with …", flush=True)
    venv.create(FOLDER, clear=True, with_pip=True)
    ask = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = subprocess.run(ask, check=True, capture_output=True, text=True).stdout
    lent = sysconfig.get_path("purelib")
    # `addsitedir` also follows the .pth files there, among them that of the course itself.
    line = f"import site; site.addsitedir({lent!r})\n"
    Path(packages.strip(), "course.pth").write_text(line)
    install = [python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    extras = tomllib.loads(project.read_text())["project"]["optional-dependencies"]
    wanted = [line for line in extras["peers"] if line.startswith(MEASURED)]
    subprocess.run([*install, *wanted], check=True)
    stamp.touch()
    return python
