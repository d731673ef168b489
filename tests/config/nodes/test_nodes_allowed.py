"""Nothing in a file is imported or called but what `_target_` names where it is allowed."""

from __future__ import annotations

import builtins
import importlib
import subprocess
import sys
import textwrap

import pytest
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st

from neox_core import NeoXArgs, Script
from neox_core.config.nodes import Config, NodeError, build, from_json, from_toml, from_yaml, to_yaml
from neox_core.config.nodes.allowed import DEFAULT_ALLOWED, Allowed
from neox_core.errors import SettingsError, UserError

ACME = """
    import functools
    import os
    import os.path as paths
    from builtins import eval as calculate
    from collections.abc import Callable
    from os import getcwd
    from subprocess import Popen as Model
    import acme_lazy
    from acme_other import Foreign

    class Llama:
        class Inner:
            pass

        def __init__(self, size=1):
            self.size = size

        @classmethod
        def tiny(cls):
            return cls(0)

    def make(size):
        return Llama(size)

    @functools.wraps(os.getcwd)
    def disguised():
        return os.getcwd()

    @functools.lru_cache
    def kept(size=1):
        return Llama(size)

    class Owner:
        def __init__(
            self, process: Model | None = None, call: Callable[..., Foreign] | None = None, llama: Llama | None = None
        ):
            self.llama = llama

    class Guarded:
        @property
        def alarm(self):
            raise SystemExit("a property was read")

    guarded = Guarded()

    system = functools.partial(os.system, "true")
    bound = Llama().__init__
    instance = Llama()
    anonymous = lambda: 1
"""


@pytest.fixture(scope="module")
def acme(tmp_path_factory):
    """A package `acme` with models and aliases, and one that must not be imported."""
    root = tmp_path_factory.mktemp("packages")
    for name, text in {
        "acme/__init__.py": "",
        "acme/models.py": textwrap.dedent(ACME),
        "acme/private/__init__.py": "",
        "acme_other.py": "class Foreign: pass",
        "acme_lazy.py": "def __getattr__(name):\n    if name == 'song':\n        import canary.song\n    raise AttributeError(name)",
        "canary/__init__.py": "raise SystemExit('the canary was imported')",
        "canary/song.py": "raise SystemExit('the canary was imported')",
    }.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    forget_acme()  # others make a module of this name, too
    sys.path.insert(0, str(root))
    yield root
    sys.path.remove(str(root))
    forget_acme()


def forget_acme():
    for name in [name for name in sys.modules if name.partition(".")[0] in ("acme", "acme_other", "acme_lazy")]:
        del sys.modules[name]


def refusal(name: str, *allow: str, rest: str = "") -> str:
    with pytest.raises(SettingsError) as refused:
        from_yaml(f"a: 1\n_target_: {name}\n{rest}", allow=allow)
    return str(refused.value)


@pytest.mark.parametrize(
    ("name", "allow"),
    [
        ("acme.models.Llama", "acme"),
        ("acme.models.Llama", "acme.models"),
        ("acme.models.Llama", "acme.models.Llama"),
        ("acme.models.Llama.Inner", "acme.models.Llama"),
        ("acme.models.make", "acme.models"),
        ("acme.models.kept", "acme"),
    ],
)
def test_what_lies_under_a_prefix_is_found(acme, name, allow):
    found = Allowed([allow]).find(name)
    assert f"{found.__module__}.{found.__qualname__}" == name


@pytest.mark.parametrize(
    "name", ["os.getcwd", "builtins.eval", "neox_core.cli.main.main", "acmes.models.Llama", "acme", "subprocess.Popen"]
)
def test_a_name_that_is_not_allowed_is_refused_before_anything_is_imported(acme, name, monkeypatch):
    monkeypatch.setattr(importlib, "import_module", lambda name: pytest.fail(f"{name} was imported"))
    assert "<text>:2: " in refusal(name, "acme.models.Llama")


@pytest.mark.parametrize(
    "name",
    [
        "acme.models.os.getcwd",
        "acme.models.getcwd",
        "acme.models.calculate",
        "acme.models.Model",
        "acme.models.paths.join",
        "acme.models.functools.partial",
        "acme.models.Foreign",
        "acme.models.acme_lazy.song",
        "acme.models.guarded.alarm",
        "acme.models.disguised",
        "acme.models.system",
        "acme.models.bound",
        "acme.models.instance",
        "acme.models.anonymous",
        "acme.models.os",
        "acme.private",
        "acme.models.Llama.tiny",
        "acme.models.Llama.__class__",
        "acme.models.Llama.__subclasses__",
        "acme.models.Llama.mro",
        "acme.models.Llama.__init__.__globals__",
        "acme.models.Llama.__init__.__globals__.get",
        "acme.models.__builtins__",
        "acme.models.__loader__.load_module",
        "acme.models.__spec__",
        "acme.missing.Llama",
        "acme.models.Lama",
        "acme..models.Llama",
        ".acme.models",
        "acme.models.",
        "'acme.models.Llama()'",
        "acme/models.Llama",
        "''",
    ],
)
def test_what_is_under_a_prefix_by_another_name_is_refused(acme, name):
    assert "<text>:2: " in refusal(name, "acme")


@pytest.mark.parametrize("name", ["neox_core.files.os.getcwd", "neox_core.files.os", "neox_core.errors.NamedTuple"])
def test_our_own_package_hides_nothing_either(name):
    assert f"<text>:2: '{name}' " in refusal(name, "neox_core")


def test_a_refusal_says_where_what_is_allowed_and_what_to_do(acme):
    assert refusal("other.models.Llama", "acme") == (
        "<text>:2: 'other.models.Llama' is not allowed: allowed are 'acme'; if you trust what the file names, allow it: "
        "--allow other, or --allow other.py for a file; in Python from_yaml(..., allow=['other'])"
    )
    assert "no package is allowed" in refusal("other.models.Llama")
    assert "'acme.models.Model' is another name of 'subprocess.Popen'" in refusal("acme.models.Model", "acme")
    assert "did you mean 'Llama'?" in refusal("acme.models.Lama", "acme")
    assert "no module 'acme.missing'" in refusal("acme.missing.Llama", "acme") or "has no 'missing'" in refusal(
        "acme.missing.Llama", "acme"
    )


@pytest.mark.parametrize(
    ("rest", "named"),
    [
        ("process: {_partial_: false, args: 'true'}", "subprocess.Popen"),
        ("call: {_partial_: true}", "acme_other.Foreign"),
        ("call: &a {_partial_: true}\nllama: {_partial_: false, size: *a}", "acme_other.Foreign"),
    ],
)
def test_a_node_without_a_name_takes_no_class_that_is_not_allowed(acme, rest, named):
    text = f"_target_: acme.models.Owner\n{rest}"
    with pytest.raises(SettingsError) as refused:
        from_yaml(text, allow=["acme"])
    assert f"<text>:2: '{named}', which the parameter takes, is not allowed" in str(refused.value)
    from_yaml(text, allow=["acme", named])
    node = from_yaml("_target_: acme.models.Owner\nllama: {_partial_: false, size: 3}", allow=["acme"])
    assert build(node).llama.size == 3


def test_all_refused_names_are_told_at_once():
    with pytest.raises(SettingsError) as refused:
        from_yaml("_target_: builtins.dict\na: {_target_: os.getcwd}\nb:\n- {_target_: os.system, _call_: false}\n")
    assert [str(problem.origin) for problem in refused.value.problems] == ["<text>:2", "<text>:4"]


def test_a_module_that_fails_to_import_says_so(acme):
    (acme / "acme" / "broken.py").write_text("import no_such_module_anywhere")
    assert "there is no module 'no_such_module_anywhere'" in refusal("acme.broken.Llama", "acme")


@pytest.mark.parametrize("allow", ["", "a b", "../x", 5, "acme."])
def test_a_prefix_is_a_dotted_name(allow):
    with pytest.raises(NodeError, match="is no dotted name"):
        from_yaml("a: 1", allow=[allow])


def test_one_prefix_needs_no_list(acme):
    assert build(from_yaml("{_target_: acme.models.Llama, size: 3}", allow="acme.models")).size == 3


def test_settings_mappings_and_dtypes_are_always_allowed():
    assert from_yaml("_target_: neox_core.NeoXArgs")._target.object is NeoXArgs
    assert from_yaml("{_target_: builtins.dict, a: 1}") == Config({}, a=1)
    assert "builtins.dict" in DEFAULT_ALLOWED
    assert "builtins.eval" not in DEFAULT_ALLOWED


def test_scripts_are_always_allowed_by_their_public_name():
    node = Config(Script, inline="set -e\nls\n", args=["$HOME"])
    assert to_yaml(node).startswith("_target_: neox_core.Script\ninline: |\n")
    assert from_yaml(to_yaml(node)) == node


def test_what_is_always_allowed_allows_nothing_below_it():
    assert "not allowed" in refusal("neox_core.NeoXArgs.save_yml")
    assert "not allowed" in refusal("builtins.dict.fromkeys")
    assert "not allowed" in refusal("torch.load")


def test_dtypes_are_references():
    import torch

    node = Config(dict, dtype=torch.bfloat16)
    assert from_yaml(to_yaml(node)) == node
    assert "_target_: torch.bfloat16\n  _call_: false" in to_yaml(node)
    assert "cannot be called" in refusal("torch.float32")


# Nothing is imported by accident

NAMES = [
    "canary.song",
    "canary.song.f",
    "canary",
    "os.getcwd",
    "builtins.eval",
    "neox_core.cli.main.main",
    "acme.models.os.getcwd",
    "acme.models.canary.f",
    "acme.canary",
    "__import__('canary')",
    "${canary.song}",
    "!!python/object/apply:canary.song []",
    "!!python/name:canary.song",
    "@canary.song",
    "$(canary)",
    "lambda: canary",
]
WORDS = st.sampled_from([*NAMES, "_target_", "_call_", "_partial_", "_args_", "_items_", "_path_", "_text_", "name"])
VALUES = st.recursive(
    WORDS | st.booleans() | st.integers(0, 2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture
def imports(acme, monkeypatch):
    """The names that are imported while a test runs."""
    found = []
    import_module, original = importlib.import_module, builtins.__import__

    def record_module(name, package=None):
        found.append(name)
        return import_module(name, package)

    def record(name, *args, **kwargs):
        found.append(name)
        return original(name, *args, **kwargs)

    Allowed(["acme"]).find("acme.models.Llama")
    monkeypatch.setattr(importlib, "import_module", record_module)
    monkeypatch.setattr(builtins, "__import__", record)
    return found


@hypothesis_settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.dictionaries(WORDS, VALUES, min_size=1, max_size=4))
def test_no_text_causes_an_import(imports, value):
    import json

    del imports[:]
    text = json.dumps(value)
    before = {*sys.modules}
    for allow in ((), ("acme",)):
        try:
            from_yaml(text, allow=allow)
        except UserError:
            continue
    roots = {name.partition(".")[0] for name in imports}
    assert "canary" not in roots
    assert not [name for name in imports if name.startswith("neox_core.cli")]
    new = {name for name in {*sys.modules} - before if not name.startswith(("neox_core.config", "pydantic", "acme"))}
    assert new == set()


@pytest.mark.parametrize("name", NAMES)
def test_text_that_looks_like_a_name_stays_text(imports, name):
    import json

    del imports[:]
    for read, text in (
        (from_yaml, f"_target_: builtins.dict\na: {json.dumps(name)}\n{json.dumps(name)}: [1]\n"),
        (from_toml, f'_target_ = "builtins.dict"\na = {json.dumps(name)}\n{json.dumps(name)} = [1]\n'),
        (from_json, json.dumps({"_target_": "builtins.dict", "a": name, name: [1]})),
    ):
        node = read(text)
        assert build(node) == {"a": name, name: [1]}
    assert "canary" not in {found.partition(".")[0] for found in imports}


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.getcwd", "!!python/name:os.getcwd", "!run", "!!python/module:os"]
)
def test_tags_are_refused(tag):
    with pytest.raises(SettingsError, match="is not known"):
        from_yaml(f"_target_: builtins.dict\na: {tag} []\n")


def test_reading_leaves_pyyaml_as_it_was():
    code = """
        import yaml
        before = [dict(kind.yaml_constructors) for kind in (yaml.SafeLoader, yaml.FullLoader)], dict(yaml.SafeDumper.yaml_representers)
        from neox_core import Config, from_yaml, to_yaml
        from_yaml(to_yaml(Config(dict, a=[1])))
        after = [dict(kind.yaml_constructors) for kind in (yaml.SafeLoader, yaml.FullLoader)], dict(yaml.SafeDumper.yaml_representers)
        assert before == after
        assert yaml.safe_load("1e5") == "1e5"
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60)
