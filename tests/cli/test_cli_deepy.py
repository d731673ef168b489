"""`neox deepy` and deepy.py's flags of `neox train`: what the three names stand for, and what is said of mistakes."""

from __future__ import annotations

import os

import pytest
from plugin_distributions import neox
from plugin_runs import write_config, write_data
from small_settings import MODEL

from neox_core.cli.deepy import generate_words, hand_on, launched_world, local_options, write_output
from neox_core.cli.main import main
from neox_core.config import Host, NeoXArgs, World
from neox_core.errors import UserError
from neox_core.launch import local_slots
from neox_core.plugins import PluginManager, Switches


@pytest.fixture
def place(tmp_path):
    (tmp_path / "conf").mkdir()
    write_data(tmp_path)
    write_config(tmp_path / "conf")
    (tmp_path / "hosts").write_text("localhost slots=2\n")
    return tmp_path


# neox train


def test_training_takes_the_flags_of_deepy(place):
    flags = ["-H", "hosts", "--wandb_group", "g", "--eval_tasks", "lambada", "piqa"]
    done = neox("train", "-d", "conf", "tiny", "num_gpus=2", "--dry-run", *flags, cwd=place)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" WORLD_SIZE=2 ") == 2
    assert "note: command line (--wandb_group): wandb_group: has no effect in this version\n" in done.stderr


def test_a_flag_is_where_its_value_comes_from(place):
    done = neox("train", "conf/tiny.yml", "--dry-run", "-H", "absent", cwd=place)
    assert (done.returncode, done.stdout) == (2, "")
    assert "hostfile: absent cannot be read (No such file or directory)" in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--wandb_grop", "g"], "error: neox train: there is no option --wandb_grop; did you mean '--wandb_group'?"),
        (
            ["--iteration", "x"],
            "error: neox train: argument --iteration: invalid int value: 'x'; see `neox train --help`",
        ),
        (["--dry", "tiny"], "error: neox train: there is no option --dry; did you mean '--dry-run'?"),
        (["-H", "h", "hostfile=i"], "hostfile: is given twice, as --hostfile ('h') and as hostfile=i"),
    ],
)
def test_mistakes_are_said_in_a_sentence(place, words, sentence):
    done = neox("train", "-d", "conf", "tiny", *words, cwd=place)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


# neox deepy


def test_train_py_is_neox_train(place):
    words = ["-d", "conf", "tiny", "seed=3", "master_port=12345", "run_name=x", "--dry-run"]
    old, new = (neox(*verb, *words, cwd=place) for verb in (["deepy", "train.py"], ["train"]))
    assert old.returncode == new.returncode == 0, old.stderr
    without_time = [[line.split("/runs/x/")[0] for line in done.stdout.splitlines()] for done in (old, new)]
    assert without_time[0] == without_time[1]
    assert "neox_core.training.worker" in old.stdout
    before = neox("deepy", "-d", "conf", "train.py", "tiny", "--dry-run", cwd=place)
    assert before.returncode == 0, before.stderr


def test_a_name_stands_for_a_verb_although_there_is_such_a_file(place):
    (place / "train.py").write_text("raise SystemExit('this is not it')\n")
    done = neox("deepy", "train.py", "-d", "conf", "tiny", "--dry-run", cwd=place)
    assert done.returncode == 0, done.stderr


def test_eval_py_is_the_verb_of_a_plugin(place):
    (place / "judge.py").write_text(
        "def neox_commands(commands):\n"
        "    commands.add('eval', 'judge:main', help='h')\n"
        "def main(argv, context):\n"
        "    print(argv)\n"
        "    return 3\n"
    )
    words = ["-d", "conf", "tiny", "--eval_tasks", "lambada"]
    done = neox("-p", "judge.py", "deepy", "eval.py", *words, cwd=place)
    assert (done.returncode, done.stdout) == (3, f"{words}\n")
    done = neox("deepy", "eval.py", *words, cwd=place)
    assert done.returncode == 2
    assert "eval.py: no plugin here offers the verb `eval`" in done.stderr
    assert "`neox train` tells the loss on held-out data" in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "neox deepy: the following arguments are required: SCRIPT"),
        (["train.py"], "neox train: the following arguments are required: FILE"),
        (["gone.py", "-d", "conf", "tiny"], "gone.py: there is no such script"),
        (["./gone.py"], "neox deepy: the following arguments are required: FILE"),
        (["./gone.py", "-d", "conf", "tiny", "--dry-run"], "neox deepy: there is no option --dry-run"),
        (["generate.py", "-d", "conf", "tiny"], "load: not set; it is the directory of the checkpoints"),
    ],
)
def test_what_deepy_cannot_run_is_said_in_a_sentence(place, words, sentence):
    done = neox("deepy", *words, cwd=place)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_may_switch_off_the_plugins_whose_keys_are_asked_for(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    off = {"plugin_disable": ["neox-toolkit:launchers", "neox-toolkit:loggers"]}
    args = NeoXArgs.from_ymls(["conf/tiny.yml"], off)
    args.user_script = "work.py"
    assert "work.py" in args.get_deepspeed_main_args()
    code = main(["deepy", "generate.py", "-d", "conf", "tiny", "plugin_disable=[neox-toolkit:commands]"])
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert "generate.py: no plugin here offers the verb `generate`" in err


def test_what_the_launcher_leaves_out_is_told(place):
    (place / "work.py").touch()
    done = neox("deepy", "./work.py", "-d", "conf", "tiny", "num_gpus=1", "include=localhost:0", cwd=place)
    assert done.returncode == 0, done.stderr
    assert "(num_gpus=1): num_gpus: is left out: include and exclude choose among the slots" in done.stderr


def test_a_plugin_of_this_process_alone_is_refused_for_a_program_on_other_ranks(place):
    (place / "work.py").touch()
    (place / "own.py").write_text("def neox_components():\n    return []\n")
    done = neox("-p", "own.py", "deepy", "./work.py", "-d", "conf", "tiny", cwd=place)
    assert done.returncode == 2
    assert "-p own.py: does not reach the ranks of a program of your own" in done.stderr


def test_the_ranks_do_without_the_same_plugins(monkeypatch):
    monkeypatch.setenv("NEOX_DISABLE_PLUGINS", "acme")
    switches = Switches.from_environment(os.environ).with_arguments(["no:optimizer.adam"])
    hand_on(switches)
    assert set(Switches.from_environment(os.environ).disable) == {"acme", "optimizer.adam"}


# What generate.py becomes


def args(**values: object) -> NeoXArgs:
    return NeoXArgs.from_dict({**MODEL, "load": "ck", **values})


def test_generating_has_the_settings_of_the_files():
    given = {
        "temperature": 0.5,
        "top_k": 3,
        "top_p": 0.9,
        "maximum_tokens": 7,
        "num_samples": 2,
        "iteration": 20,
        "seed": 5,
    }
    expected = [
        "--iteration=20",
        "--maximum-tokens=7",
        "--num-samples=2",
        "--temperature=0.5",
        "--top-k=3",
        "--top-p=0.9",
    ]
    assert generate_words(args(**given)) == ["ck", *expected, "--seed=5"]
    assert "--temperature=0.0" in generate_words(args())


def test_a_verb_of_another_plugin_generates_as_its_own_defaults_say():
    plugins = PluginManager(Switches(disable={"neox-toolkit:commands": "here"}))
    found = NeoXArgs.from_dict({**MODEL, "load": "ck", "seed": 5}, plugins=plugins)
    assert generate_words(found) == ["ck", "--seed=5"]


def test_prompts_are_the_lines_of_a_file(tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_text("one\n\n  two words \n--three\n")
    words = generate_words(args(sample_input_file=str(file)))
    assert words[-3:] == ["--prompt=one", "--prompt=two words", "--prompt=--three"]
    file.write_text("one\n!two!")
    assert generate_words(args(sample_input_file=str(file), prompt_end="!"))[-2:] == ["--prompt=one", "--prompt=two"]
    assert not [
        word for word in generate_words(args(sample_input_file="x", text_gen_type="unconditional")) if "rompt" in word
    ]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"load": None}, "load: not set"),
        (
            {"text_gen_type": "interactive"},
            "text_gen_type: interactive is not there; use `neox generate ck --prompt TEXT`",
        ),
        ({"text_gen_type": "input-file"}, "sample_input_file: not set"),
    ],
)
def test_what_cannot_be_generated_is_refused(given, sentence):
    with pytest.raises(UserError, match=sentence):
        generate_words(args(**given))


def test_a_file_without_prompts_is_refused(tmp_path):
    (tmp_path / "blank.txt").write_text("\n \n")
    with pytest.raises(UserError, match=r"blank\.txt has no prompt"):
        generate_words(args(sample_input_file=str(tmp_path / "blank.txt")))


# What DeepSpeed's launcher is told of this machine


def test_ranks_on_this_machine_need_no_ssh_and_are_counted():
    words = local_options(args(master_port=1234), World.local(3))
    assert words == ["--no_ssh_check", "--master_addr", "127.0.0.1", "--master_port", "1234", "--num_gpus", "3"]
    assert "--num_gpus" not in local_options(args(include="localhost:0"), World.local(1))
    assert "--num_gpus" not in local_options(args(hostfile="hosts"), World.local(2))


@pytest.mark.parametrize(
    ("given", "ranks"),
    [
        ({"include": "a:0,1@b", "num_gpus": 1}, [2, 2]),
        ({"exclude": "a:0", "num_gpus": 1}, [3, 2]),
        ({"num_gpus": 1}, [1, 1]),
    ],
)
def test_the_launcher_starts_every_slot_that_is_chosen(tmp_path, given, ranks):
    (tmp_path / "hosts").write_text("a slots=4\nb slots=2\n")
    world = launched_world(args(hostfile=str(tmp_path / "hosts"), device="cpu", **given))
    assert [host.slots for host in world.hosts] == ranks


@pytest.mark.skipif(local_slots("cpu") < 2, reason="there is one core, and it cannot be excluded")
def test_the_launcher_starts_every_core_that_is_not_excluded():
    world = launched_world(args(device="cpu", exclude="localhost:0", num_gpus=1))
    assert world.size == local_slots("cpu") - 1


@pytest.mark.parametrize("given", [{"force_multi": True}, {"deepspeed_slurm": True}, {"deepspeed_mpi": True}])
def test_a_scheduler_is_told_nothing(given):
    assert local_options(args(**given), World.local(2)) == []


def test_other_machines_are_told_nothing():
    assert local_options(args(), World((Host("elsewhere", 2),))) == []
    assert local_options(args(), World((Host("localhost", 1), Host("elsewhere", 1)))) == []


# What is written


def test_output_replaces_a_file_only_when_all_went_well(tmp_path):
    file = tmp_path / "out.txt"
    file.write_text("before")

    def printing(code):
        print("after")
        if code is None:
            raise UserError("no")
        return code

    with pytest.raises(UserError):
        write_output(file, lambda: printing(None))
    assert write_output(file, lambda: printing(1)) == 1
    assert file.read_text() == "before"
    assert write_output(file, lambda: printing(0)) == 0
    assert file.read_text() == "after\n"
    assert list(tmp_path.iterdir()) == [file]


def test_the_help_of_a_named_script_is_that_of_its_verb(place):
    done = neox("deepy", "train.py", "--help", cwd=place)
    assert done.returncode == 0
    assert "neox train" in done.stdout
    assert "--dry-run" in done.stdout
