"""`neox run`, and functions with a command line of their own."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from neox_core import command

JOBS = '''\
"""Jobs of mine."""

from dataclasses import dataclass

from neox_core import Config, NeoXArgs, Partial, command, recipe


@dataclass
class Model:
    hidden: int = 4
    layers: int = 2


@recipe
def wide(factor: int = 2) -> Config[Model]:
    return Config(Model, hidden=100 * factor)


@command
def bench(model: Model, steps: int = 10, names: list[str] | None = None) -> None:
    """Measure a model."""
    print(f"bench {model} {steps} {names}")


def plain(code: int):
    """Not decorated."""
    return code


@recipe
def later() -> Partial[None]:
    return Partial(bench, model=Config(Model), steps=3)


@recipe
def model() -> Config[Model]:
    return Config(Model, hidden=7)


def undecorated(steps: int = 2) -> Partial[None]:
    return Partial(bench, model=Config(Model), steps=steps)


def run_of_settings() -> Config[NeoXArgs]:
    return Config(NeoXArgs, num_layers=2)


if __name__ == "__main__":
    import sys

    sys.exit(bench.main())
'''


@pytest.fixture
def jobs(python_file):
    return python_file("my_jobs.py", JOBS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bench", "model=wide"], "bench Model(hidden=200, layers=2) 10 None"),
        (["bench", "model=wide(factor=3)", "model.layers=5", "steps*=2"], "bench Model(hidden=300, layers=5) 20 None"),
        (["bench", "model=model", "model.hidden=3", "names=[a, '1']"], "bench Model(hidden=3, layers=2) 10 ['a', '1']"),
        (["later", "steps+=1", "steps+=1"], "bench Model(hidden=4, layers=2) 5 None"),
        (["undecorated(steps=3)", "model.hidden*=2"], "bench Model(hidden=8, layers=2) 3 None"),
    ],
)
def test_arguments_are_set_by_words(jobs, words, said):
    name, *rest = words
    done = jobs("run", f"my_jobs.py:{name}", *rest)
    assert (done.code, done.out.strip()) == (0, said), done.err


def test_the_exit_code_is_the_number_that_is_returned(jobs):
    assert jobs("run", "my_jobs.py:plain", "code=7").code == 7
    assert jobs("run", "my_jobs.py:model").code == 0


def test_what_is_printed_or_saved_is_run_again(jobs):
    done = jobs("run", "my_jobs.py:later", "model=wide", "--print")
    assert done.code == 0, done.err
    assert done.out.startswith("_target_: my_jobs.bench\n_partial_: true\n")
    for name in ("job.yml", "job.json", "job.toml"):
        assert jobs("run", "my_jobs.py:later", "model=wide", "--save", name).code == 0
        again = jobs("run", "my_jobs.py:later", name, "--allow", "my_jobs.py")
        assert again.out.strip() == "bench Model(hidden=200, layers=2) 3 None", again.err
        again = jobs("run", name, "steps=4", "--allow", "my_jobs.py")
        assert again.out.strip() == "bench Model(hidden=200, layers=2) 4 None", again.err
    jobs.write("arguments.yml", "steps: 8\nnames: [x]\n")
    assert "8 ['x']" in jobs("run", "my_jobs.py:later", "arguments.yml").out


def test_a_command_is_written_under_its_own_name(jobs):
    done = jobs("run", "my_jobs.py:bench", "model=wide", "--print")
    assert done.out.startswith("_target_: my_jobs.bench\n_partial_: true\n"), done.err


def test_a_file_may_name_what_is_defined_beside_the_command(jobs):
    jobs.write("parts.yml", "mine: {_target_: my_jobs.Model, hidden: 5}\nother: {_target_: os.getcwd}\n")
    assert "hidden=5" in jobs("run", "my_jobs.py:bench", "model=@parts.yml:mine").out
    done = jobs("run", "my_jobs.py:bench", "model=@parts.yml:other")
    assert done.code == 2
    assert "'os.getcwd' is not allowed" in done.err


def test_a_node_of_a_file_says_its_class(jobs):
    jobs.write("parts.yml", "mine: {_partial_: false, hidden: 5}\nall: [{_partial_: true}]\n")
    for section in ("mine", "all"):
        done = jobs("run", "my_jobs.py:bench", f"model=@parts.yml:{section}")
        assert done.code == 2
        assert "has no _target_; write which class it is of" in done.err


def test_a_value_of_the_tree_is_explained(jobs):
    done = jobs("run", "my_jobs.py:later", "model.hidden=3", "--explain", "model.hidden")
    assert (done.code, done.out.splitlines()[:2]) == (0, ["model.hidden = 3", "  set at command line (model.hidden=3)"])
    done = jobs("run", "my_jobs.py:later", "--explain", "model.hiden")
    assert done.code == 2
    assert "did you mean 'hidden'?" in done.err


def test_an_async_function_is_no_command():
    async def never() -> None: ...

    with pytest.raises(TypeError, match="never: a command is called"):
        command(never)


def test_a_dry_run_lists_arguments_and_runs_nothing(jobs):
    done = jobs("run", "my_jobs.py:bench", "model=wide", "steps=3", "--dry-run")
    assert done.code == 0
    assert "bench Model" not in done.out
    assert "command line (steps=3)" in done.out
    jobs.write("arguments.yml", "steps: 8\n")
    assert "arguments.yml" in jobs("run", "my_jobs.py:later", "arguments.yml", "--dry-run").out


def test_help_lists_arguments_and_recipes(jobs, capsys):
    with pytest.raises(SystemExit) as ended:
        jobs("run", "my_jobs.py:bench", "--help")
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "Measure a model." in said
    for word in ("model", "required", "steps", "10", "wide"):
        assert word in said
    with pytest.raises(SystemExit):
        jobs("run", "my_jobs.py:later", "--help")
    assert re.search(r"model +Model +Model\n", capsys.readouterr().out), "what is set, without the module"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["my_jobs.py:bench"], "model: is not set"),
        (
            ["my_jobs.py:bench", "model=wide", "steps=many"],
            "command line (steps=many): steps: 'many' is not a whole number",
        ),
        (["my_jobs.py:bench", "model=wide", "words.yml"], "words.yml: steps: 'many' is not a whole number"),
        (["my_jobs.py:bench", "numbers.yml"], "numbers.yml: 1 is no name of an argument; put it into quotes"),
        (["my_jobs.py:bench", "hidden.yml"], "hidden.yml: __x: bench has no parameter '__x'"),
        (["my_jobs.py:bench", " =3"], "' =3': nothing is named before the sign"),
        (["my_jobs.py:bench", "model=wide", "stepps=1"], "did you mean 'steps'?"),
        (["my_jobs.py:bench", "model=wyde"], "did you mean 'wide'?"),
        (["my_jobs.py:bench", "model=wide", "steps/=0"], "cannot be divided"),
        (["my_jobs.py:bench", "model=@nowhere.yml"], "nowhere.yml"),
        (["my_jobs.py:bench", "nowhere.yml"], "nowhere.yml"),
        (["my_jobs"], "write FILE.py:NAME"),
        (["my_jobs.py:run_of_settings"], "these are the settings of a run, which `neox train` takes"),
        (["settings.yml"], "settings: these are the settings of a run, which `neox train` takes"),
        (["my_jobs.py:later("], "write a recipe as name or name(value, name=value)"),
        (["my_jobs.py:bench", "--sve", "x"], "--sve"),
    ],
)
def test_mistakes_are_said_in_a_sentence(jobs, words, said):
    for name, text in {
        "words": "steps: many",
        "numbers": "1: 2",
        "hidden": "__x: 2",
        "settings": "num_layers: 2",
    }.items():
        jobs.write(f"{name}.yml", text)
    done = jobs("run", *words)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err


def test_a_script_has_a_command_line_too(jobs):
    def script(*words):
        return subprocess.run(
            [sys.executable, "my_jobs.py", *words], cwd=jobs.directory, capture_output=True, text=True, timeout=60
        )

    done = script("model=wide", "steps=1")
    assert (done.returncode, done.stdout) == (0, "bench Model(hidden=200, layers=2) 1 None\n"), done.stderr
    done = script("model=wide", "step=1")
    assert done.returncode == 2
    assert "did you mean 'steps'?" in done.stderr
    assert "Traceback" not in done.stderr
