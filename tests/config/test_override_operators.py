"""Operators, taking away, and values from files, in overrides of flat settings."""

import pytest

from neox_core.config.entries import read_entries
from neox_core.errors import UserError

FILE = """\
train_iters: 100
optimizer: {type: Adam, params: {lr: 0.001, betas: [0.9, 0.95]}}
attention_config: [global, global]
seed: 7
"""


@pytest.fixture
def values(tmp_path):
    def of(*words):
        (tmp_path / "run.yml").write_text(FILE)
        return {key: entry.value for key, entry in read_entries([tmp_path / "run.yml"], words).items()}

    return of


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (["train_iters*=2"], "train_iters", 200),
        (["train-iters/=4"], "train_iters", 25),
        (["train_iters+=1", "train_iters+=1"], "train_iters", 102),
        (["train_iters=5", "train_iters+=1", "train_iters=7"], "train_iters", 7),
        (["train_iters=5", "train_iters-=1"], "train_iters", 4),
        (["attention_config+=[flash]"], "attention_config", ["global", "global", "flash"]),
        (["attention_config[1]=flash"], "attention_config", ["global", "flash"]),
        (["attention_config[-1]=flash"], "attention_config", ["global", "flash"]),
        (["log_interval*=3"], "log_interval", 300),
        (["seed+=0.5"], "seed", 7.5),
        (["data_path=a", "data_path+=b"], "data_path", "ab"),
        (["zero_optimization|={stage: 1}"], "zero_optimization", {"stage": 1}),
        (["zero_optimization={stage: 1}", "zero_optimization|={a: b}"], "zero_optimization", {"stage": 1, "a": "b"}),
    ],
)
def test_what_operators_make_of_what_is_given_or_of_the_default(values, words, key, value):
    assert values(*words)[key] == value


def test_lr_is_short_for_the_rate_of_the_optimizer(values):
    found = values("lr*=0.5", "optimizer.params.betas[1]=0.99")["optimizer"]
    assert found == {"type": "Adam", "params": {"lr": 0.0005, "betas": [0.9, 0.99]}}


def test_what_is_taken_away_is_given_no_more(values):
    assert "seed" not in values("~seed")
    assert values("~optimizer.params.betas")["optimizer"] == {"type": "Adam", "params": {"lr": 0.001}}
    assert values("~seed", "seed=3")["seed"] == 3


def test_a_value_can_be_in_a_file(values, tmp_path):
    (tmp_path / "parts.yml").write_text("slow: {type: SGD, params: {lr: 0.1}}\n")
    found = values(f"optimizer=@{tmp_path}/parts.yml:slow", "lr/=10")["optimizer"]
    assert found == {"type": "SGD", "params": {"lr": 0.01}}


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("train_iters%=2", "there is no operator %=; there are: = += -= *= /= |="),
        ("train_iters*=x", "*= multiplies numbers; there is 100, and 'x' is given"),
        ("train_iters/=0", "100 cannot be divided by 0"),
        ("data_path+=x", "+= changes what is given, and data_path is not (write data_path=VALUE)"),
        ("lr_decay_iters*=2", "and lr_decay_iters is not (write lr_decay_iters=VALUE)"),
        ("optimizer.params.eps*=2", "and optimizer.params.eps is not (write optimizer.params.eps=VALUE)"),
        ("attention_config[2]=x", "[2] cannot be set in ['global', 'global'], which has 2 items"),
        ("optimizer.params.other[0]=1", "[0] cannot be set, as optimizer.params.other is not given"),
        ("optimizer[0]=0.8", "[0] cannot be set, as optimizer is a mapping (optimizer=[...] sets the whole list)"),
        ("~save", "save: is not given, so there is nothing to take away"),
        ("~optimizer.params.eps", "optimizer: has no params.eps, so there is nothing to take away"),
        ("train_iters=@nowhere.yml:a", "nowhere.yml"),
        ("seed.x*=2", "'x' cannot be set within 7, which is not a mapping"),
    ],
)
def test_mistakes_are_said_with_the_word(values, word, said):
    with pytest.raises(UserError) as error:
        values(word)
    assert said in str(error.value)
    assert word in str(error.value) or "nowhere" in word


def test_a_file_is_read_and_nothing_in_it_is_imported(values, tmp_path):
    (tmp_path / "evil.yml").write_text("a: {_target_: os.getcwd}\n")
    with pytest.raises(UserError, match=r"os\.getcwd"):
        values(f"optimizer=@{tmp_path}/evil.yml:a")
