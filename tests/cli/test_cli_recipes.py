"""Runs from Python on the command line: recipes of a file, of a module, of a plugin, and files of nodes."""

from __future__ import annotations

import re

import pytest
import yaml

RECIPES = '''\
"""Runs of mine."""

from neox_core import Config, NeoXArgs, Partial, autoconvert, recipe, trains

TINY = {"num_layers": 2, "hidden_size": 16, "num_attention_heads": 2, "seq_length": 16, "max_position_embeddings": 16}
REST = {"train_iters": 6, "train_batch_size": 4, "mock_data": True, "vocab_size": 64}


@recipe
def tiny(num_layers: int = 2) -> Config[NeoXArgs]:
    """The smallest."""
    return Config(NeoXArgs, **TINY | {"num_layers": num_layers}, **REST, optimizer={"type": "Adam", "params": {"lr": 0.01}})


@recipe(name="tiny-too")
def same():
    return tiny()


def without_decorator():
    return tiny(num_layers=3)


as_node = tiny(num_layers=4)


class Size:
    def __init__(self, width: int, layers: int = 2):
        self.width, self.layers = width, layers


@recipe
@autoconvert
def small(layers: int = 2) -> Size:
    return Size(width=16 * layers, layers=layers)


@trains
def pretrain(size: Size, steps: int = 6, **settings):
    """Train something of a size."""
    keys = {**TINY, **REST, "num_layers": size.layers, "hidden_size": size.width, "train_iters": steps}
    return {**keys, **settings}


def whole():
    return Partial(pretrain, size=small())


def number():
    return 3


@recipe
@autoconvert
def several():
    return [Size(1), Size(2)]


@trains
def forgetful():
    """Returns nothing."""


@trains
def with_adam(adam: bool = True):
    return {**TINY, **REST, "optimizer": {"type": "Adam", "params": {"lr": 0.1}} if adam else {"type": "SGD"}}


held = Partial(pretrain, size=small())


def does_not_train():
    return Partial(Size, width=3)


def fails(width: int):
    return Partial(Size, width=width // 0)


@trains
def fails_later(steps: int = 1):
    """Does not say a run."""
    raise KeyError("width")


@autoconvert(partial=True)
def converted(layers: int = 2):
    return pretrain(Size(width=32, layers=layers), steps=3)
'''


@pytest.fixture
def recipes(python_file):
    return python_file("my_recipes.py", RECIPES)


def settings(neox, *words):
    done = neox("train", *words, "--print")
    assert done.code == 0, done.err
    return yaml.safe_load(done.out)


@pytest.mark.parametrize(
    ("word", "layers"),
    [
        ("my_recipes.py:tiny", 2),
        ("my_recipes.py:tiny(num_layers=5)", 5),
        ("my_recipes.py:tiny(6)", 6),
        ("my_recipes.py:tiny-too", 2),
        ("my_recipes.py:without_decorator", 3),
        ("my_recipes.py:as_node", 4),
        ("my_recipes.py:whole", 2),
        ("my_recipes.py:pretrain(size=small(3))", 3),
    ],
)
def test_what_may_stand_behind_the_colon(recipes, word, layers):
    found = settings(recipes, word)
    assert found["num_layers"] == layers
    assert found["mock_data"] is True


def test_a_module_is_named_like_a_file(recipes, monkeypatch):
    monkeypatch.syspath_prepend(str(recipes.directory))
    assert settings(recipes, "my_recipes:tiny")["num_layers"] == 2


def test_a_function_that_trains_becomes_a_node_where_it_is_converted(recipes):
    found = settings(recipes, "my_recipes.py:converted(layers=3)", "steps*=2")
    assert (found["num_layers"], found["train_iters"]) == (3, 6)
    assert not (recipes.directory / "runs").exists()


def test_overrides_change_tree_and_settings_from_left_to_right(recipes):
    words = [
        "my_recipes.py:whole",
        "size.layers=4",
        "train_iters=10",
        "steps=20",
        "train-iters*=2",
        "seed=1",
        "seed+=1",
    ]
    found = settings(recipes, *words)
    assert (found["num_layers"], found["train_iters"], found["seed"]) == (4, 40, 2)
    assert settings(recipes, "my_recipes.py:whole", "steps=20", "train_iters=10")["train_iters"] == 10
    assert settings(recipes, "my_recipes.py:whole", "train_iters=10", "steps=20")["train_iters"] == 20


def test_a_word_counts_though_it_sets_what_the_recipe_has_already(recipes):
    recipes.write("over.yml", "num_layers: 4\nzero_optimization: {contiguous_gradients: true}\n")
    words = ["over.yml", "model.config.num_layers=32", "optim.config.use_distributed_optimizer=true"]
    found = settings(recipes, "llama3_8b", *words)
    assert found["num_layers"] == 32
    assert found["zero_optimization"] == {"contiguous_gradients": True, "stage": 1}
    assert settings(recipes, "llama3_8b", "model.config.num_layers=32", "num_layers=4")["num_layers"] == 4


def test_an_argument_may_be_a_recipe_or_from_a_file(recipes):
    assert settings(recipes, "my_recipes.py:whole", "size=small(layers=5)", "size.layers-=1")["num_layers"] == 4
    recipes.write("parts.yml", "big: {_target_: my_recipes.Size, width: 48, layers: 7}\n")
    found = settings(recipes, "my_recipes.py:whole", "size=@parts.yml:big", "--allow", "my_recipes.py")
    assert (found["num_layers"], found["hidden_size"]) == (7, 48)


def test_a_file_goes_over_the_recipe_and_an_override_over_the_file(recipes):
    recipes.write("over.yml", "train_iters: 99\nseed: 5\n")
    found = settings(recipes, "my_recipes.py:whole", "over.yml")
    assert (found["train_iters"], found["seed"]) == (99, 5)
    assert settings(recipes, "my_recipes.py:whole", "steps=8", "over.yml")["train_iters"] == 8
    assert settings(recipes, "over.yml", "my_recipes.py:tiny", "lr*=0.5")["optimizer"]["params"]["lr"] == 0.005


@pytest.mark.parametrize("word", ["my_recipes.py:whole", "my_recipes.py:tiny", "llama3_8b"])
def test_what_is_printed_and_saved_is_the_same_run(recipes, word):
    printed = recipes("train", word, "seed=4", "--print").out
    assert recipes("train", word, "seed=4", "--save", "saved.yml").code == 0
    assert (recipes.directory / "saved.yml").read_text() == printed
    again = recipes("train", "saved.yml", "--print").out
    assert again == printed
    diff = recipes("config", "diff", f"{word},seed=4", "saved.yml", "--world-size", "4")
    assert (diff.code, diff.out.strip()) == (0, "same"), diff.err


def test_a_file_is_not_written_over(recipes):
    recipes.write("saved.yml", "a: 1\n")
    done = recipes("train", "my_recipes.py:tiny", "--save", "saved.yml")
    assert done.code == 2
    assert "saved.yml exists" in done.err
    assert (recipes.directory / "saved.yml").read_text() == "a: 1\n"


def test_a_word_that_takes_something_away_leaves_nothing_of_it(recipes):
    recipes.write("over.yml", "optimizer: {type: Lion, params: {lr: 1}}\n")
    assert settings(recipes, "my_recipes.py:with_adam", "over.yml", "adam=false")["optimizer"] == {"type": "SGD"}


def test_a_word_does_not_change_what_the_module_holds(recipes):
    done = recipes("config", "diff", "my_recipes.py:held,steps=9", "my_recipes.py:held", "--world-size", "1")
    assert "train_iters" in done.out, done.err


def test_a_flat_key_in_a_tree_has_its_line(recipes):
    text = "_target_: my_recipes.pretrain\nsize: {_target_: my_recipes.Size, width: 16}\nlog_interval: -1\n"
    recipes.write("run.yml", text)
    done = recipes("config", "check", "run.yml", "--allow", "my_recipes.py")
    assert done.code == 2
    assert "run.yml:3: log_interval: -1" in done.err


def test_settings_are_saved_as_yaml_alone(recipes):
    done = recipes("train", "my_recipes.py:tiny", "--save", "saved.toml")
    assert done.code == 2
    assert "saved.toml: settings are written as YAML; give it a name that ends with .yml" in done.err
    assert not (recipes.directory / "saved.toml").exists()


def test_a_broken_file_of_nodes_is_told_as_one(recipes):
    recipes.write("llama.json", '{"_target_": "neox_core.NeoXArgs", "num_layers": 2,,}')
    done = recipes("train", "llama.json")
    assert done.code == 2
    assert "there is no such setting" not in done.err


@pytest.mark.parametrize("form", ["yml", "json", "toml"])
def test_a_tree_in_a_file_is_a_run(recipes, form):
    from neox_recipes.llama3_8b import pretrain_recipe

    from neox_core.config.nodes.forms import dump

    dump(pretrain_recipe(), recipes.directory / f"llama.{form}")
    found = settings(recipes, f"llama.{form}", "model.config.num_layers=2", "num_workers=0")
    assert (found["num_layers"], found["hidden_size"], found["num_workers"]) == (2, 4096, 0)


def test_a_section_of_a_file_is_a_run(recipes):
    recipes.write("runs.yml", "mine: {_target_: neox_core.NeoXArgs, num_layers: 2, seed: 3}\n")
    assert settings_of_part(recipes, "runs.yml:mine") == {"num_layers": 2, "seed": 3}


def settings_of_part(neox, word):
    done = neox("config", "convert", word)
    assert done.code == 0, done.err
    return yaml.safe_load(done.out)


def test_the_settings_commands_take_recipes(recipes):
    check = recipes("config", "check", "my_recipes.py:tiny")
    assert (check.code, check.out) == (0, "in order: 10 settings, 1 rank, 4 samples a step\n"), check.err
    explain = recipes("config", "explain", "train_iters", "my_recipes.py:whole", "steps=9")
    assert "command line (steps=9)" in explain.out
    assert "num_layers" in recipes("config", "show", "my_recipes.py:tiny").out
    assert "in order: 1 ranks, 4 samples a step" in recipes("doctor", "my_recipes.py:tiny").out


def test_a_mistake_in_the_settings_has_the_place_in_the_recipe(recipes):
    done = recipes("config", "check", "my_recipes.py:tiny(num_layers=-1)")
    assert done.code == 2
    assert "my_recipes.py:12: num_layers: -1" in done.err
    done = recipes("config", "check", "llama3_8b", "model.config.num_layers=-1")
    assert done.code == 2
    assert "command line (model.config.num_layers=-1): num_layers: -1" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["my_recipes.py:tinny"], "my_recipes.py has no 'tinny'; did you mean 'tiny'?"),
        (["nowhere.py:tiny"], "nowhere.py: cannot be imported: there is no file"),
        (["no.such.module:tiny"], "no.such.module: cannot be imported: No module named 'no'"),
        (["my_recipes.py:tiny(layers=3)"], "layers"),
        (["my_recipes.py"], "my_recipes.py: name the recipe in it too, as in my_recipes.py:NAME"),
        (["my_recipes.py:other"], "my_recipes.py has no 'other'; there is: Size, converted, does_not_train"),
        (["my_recipes.py:tiny(num_layers=2"], "my_recipes.py:tiny(num_layers=2: the ')' at the end is missing"),
        (["llama3_8b(num_nodes=2"], "llama3_8b(num_nodes=2: the ')' at the end is missing"),
        (["my_recipes.py:fails(3)"], "fails: LINE: ZeroDivisionError: integer division or modulo by zero"),
        (["my_recipes.py:fails_later"], "fails_later: LINE: KeyError: 'width'; --traceback shows how it came there"),
        (["broken.py:tiny"], "broken.py: LINE: SyntaxError: '(' was never closed"),
        (["stops.py:tiny"], "stops.py: LINE: NameError: name 'nothing' is not defined"),
        (["my_recipes.py:tiny", "--save="], "settings are written as YAML"),
        (["my_recipes.py:number"], "it gives int, not a Config or a Partial"),
        (["my_recipes.py:REST"], "is no recipe"),
        (["my_recipes.py:several"], "my_recipes.py:53) gives list, not a Config or a Partial"),
        (["my_recipes.py:forgetful"], "forgetful gives NoneType, not settings; return a mapping of keys to values"),
        (["my_recipes.py:whole", " =3"], "' =3': nothing is named before the sign"),
        (["my_recipes.py:does_not_train"], "Size does not train"),
        (["my_recipes.py:tiny", "my_recipes.py:whole"], "are both whole runs; name one"),
        (["my_recipes.py:whole", "size.layer=3"], "did you mean 'layers'?"),
        (["my_recipes.py:whole", "size=smal"], "did you mean 'small'?"),
        (["my_recipes.py:whole", "step=3"], "there is no such setting, and no such argument; did you mean 'steps'?"),
        (["my_recipes.py:tiny(num_layers=3)", "heads=2"], "heads: there is no such setting"),
        (
            ["llama3_8b", "ckpt_dir=x"],
            'ckpt_dir is an argument of the recipe, and no setting; write "llama3_8b(ckpt_dir=...)"',
        ),
        (["my_recipes.py:tiny", "--dry-run"], "--dry-run: has no effect beside --print and --save"),
        (["my_recipes.py:pretrain"], "size"),
        (["my_recipes.py:whole", "size.layers=two"], "size.layers"),
        (["llama3_8"], "no preset and no recipe of this name; did you mean 'llama3_8b'?"),
        (["my_recipes.py:tiny(num_layers=two)"], "tiny: num_layers: 'two' is not a whole number"),
        (
            ["my_recipes.py:whole", "size=small(many)"],
            "'size=small(many)': small: layers: 'many' is not a whole number",
        ),
        (["llama3_8b(num_node=2)"], "llama3_8b has no parameter 'num_node'; did you mean 'num_nodes'?"),
    ],
)
def test_mistakes_are_said_in_a_sentence(recipes, words, said):
    recipes.write("broken.py", "tiny = (")
    recipes.write("stops.py", "nothing()")
    done = recipes("train", *words, "--print")
    assert done.code == 2
    assert said in re.sub(r"\S+\.py:\d+: (?=[A-Z])", "LINE: ", done.err)
    assert "Traceback" not in done.err
