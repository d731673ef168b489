"""Builds and installs the sample distributions of tests/third_party, and runs `neox` where it finds them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent.parent / "third_party"
NEOX = Path(sys.executable).with_name("neox")
SWITCHES = ("NEOX_PLUGINS", "NEOX_DISABLE_PLUGINS", "NEOX_TRACEBACK")


@dataclass(frozen=True)
class Installed:
    """Directories to put on the path: one with acme-neox, one with broken-neox, rival_neox and future-neox."""

    acme: Path
    faulty: Path


def install_all(directory: Path) -> Installed:
    """Build the wheels in one go, and install them into two directories."""
    sources = sorted(path.parent for path in SOURCES.glob("*/pyproject.toml"))
    wheels, installed = directory / "wheels", Installed(directory / "acme", directory / "faulty")
    _pip("wheel", "--no-build-isolation", "--wheel-dir", str(wheels), *map(str, sources))
    built = sorted(wheels.glob("*.whl"))
    _pip("install", "--target", str(installed.acme), *(str(w) for w in built if w.name.startswith("acme")))
    _pip("install", "--target", str(installed.faulty), *(str(w) for w in built if not w.name.startswith("acme")))
    return installed


def _pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", words[0], "--quiet", "--no-deps", "--no-index", *words[1:]]
    subprocess.run([*command, "--disable-pip-version-check"], check=True, timeout=300)


def environment(path: Iterable[Path] = (), **changes: str) -> dict[str, str]:
    """This process's environment without plugin switches, with directories on the path and with `changes`."""
    kept = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    return {**kept, "PYTHONPATH": os.pathsep.join(map(str, path)), "OMP_NUM_THREADS": "1", **changes}


def run(
    command: Iterable[str | Path], *, cwd: Path, environment: Mapping[str, str], timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a command; it and whatever it has started are killed when it takes too long."""
    words = [str(word) for word in command]
    process = subprocess.Popen(
        words,
        cwd=cwd,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        raise AssertionError(f"{words} took more than {timeout} s\n{out}\n{err}") from None
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def neox(
    *words: str | Path, cwd: Path, path: Iterable[Path] = (), timeout: float = 60, **changes: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user would."""
    return run([NEOX, *words], cwd=cwd, environment=environment(path, **changes), timeout=timeout)
