"""Fresh environments with neox installed in them, each way that people install it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Installation:
    """A virtual environment in which neox was installed, and a directory outside the checkout to use it from."""

    scripts: Path
    elsewhere: Path

    def run(self, *command: str, expect: int = 0, **environment: str) -> str:
        """What a command of the environment prints."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("NEOX_", "PYTHON", "COV"))
        }
        done = subprocess.run(
            [self.scripts / command[0], *command[1:]],
            cwd=self.elsewhere,
            env=inherited | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        assert done.returncode == expect, done.stdout
        return done.stdout

    def python(self, code: str) -> str:
        """What a program prints."""
        return self.run("python", "-c", code)


def link_requirements(directory: Path) -> None:
    """Fill a directory with links to what is installed here, except neox itself: installing torch again takes minutes."""
    for kind in ("purelib", "platlib"):
        for entry in Path(sysconfig.get_path(kind)).iterdir():
            link = directory / entry.name
            if entry.suffix != ".pth" and not entry.name.startswith("neox_") and not link.is_symlink():
                link.symlink_to(entry)


@pytest.fixture(scope="session")
def pyproject() -> dict[str, Any]:
    """The project's metadata as it is written."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session", params=["regular", "editable"])
def installation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """neox as `pip install .` and as `pip install -e .` install it."""
    directory = tmp_path_factory.mktemp(request.param)
    requirements = directory / "requirements"
    requirements.mkdir()
    link_requirements(requirements)
    venv.create(directory / "venv", symlinks=True)
    site_packages = (
        directory / "venv" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    )
    (site_packages / "requirements.pth").write_text(f"{requirements}\n")
    elsewhere = directory / "elsewhere"
    elsewhere.mkdir()
    installed = Installation(directory / "venv" / "bin", elsewhere)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    what = ["--editable", str(ROOT)] if request.param == "editable" else [str(ROOT)]
    installed.run("python", "-m", "pip", "install", *options, *what)
    return installed
