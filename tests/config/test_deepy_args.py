"""deepy.py's command line, what DeepSpeed's launcher is given for it, and what a rank makes of that."""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from small_settings import MODEL

from neox_core.config import NeoXArgs, World
from neox_core.config.command_line import FLAGS
from neox_core.config.deepy import LONGEST_ARGUMENT, configure_distributed_args
from neox_core.config.place import Place
from neox_core.config.runner_options import DEEPSPEED_LAUNCHERS, RUNNER_OPTIONS, runner_notices
from neox_core.errors import SettingsError, UserError

TOLD_BY_OTHERS = ("SLURM_", "OMPI_", "PMI_", "MV2_", "MPI_", "NEOX_")
TOLD = ("MASTER_ADDR", "DLTS_HOSTFILE", "RANK", "LOCAL_RANK", "WORLD_SIZE")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A working directory with a script and a directory of configurations, and an environment that says nothing."""
    for name in [*os.environ]:
        if name in TOLD or name.startswith(TOLD_BY_OTHERS):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    write("conf/a.yml", **MODEL)
    write("conf/b.yml", seed=7, hostfile="hosts")
    (tmp_path / "work.py").touch()
    return tmp_path


def write(name: str, **values: object) -> None:
    Path(name).write_text(json.dumps(values))


def consumed(*words: str) -> NeoXArgs:
    return NeoXArgs.consume_deepy_args(["work.py", *words])


def args(**values: object) -> NeoXArgs:
    made = NeoXArgs.from_dict({**MODEL, **values})
    made.user_script = "work.py"
    return made


def options(**values: object) -> list[str]:
    """The launcher's options, which stand before the script."""
    words = args(**values).get_deepspeed_main_args()
    return words[: words.index("work.py")]


def handed_over(words: list[str], name: str = "--megatron_config") -> dict:
    return json.loads(base64.urlsafe_b64decode(words[words.index(name) + 1]))


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


# deepy.py's command line


@pytest.mark.parametrize(
    "words",
    [
        ["conf/a.yml", "conf/b.yml"],
        ["conf/a", "conf/b"],
        ["-d", "conf", "a.yml", "b.yml"],
        ["--conf_dir", "conf", "b", "a"],
        ["a", "-d", "conf", "b"],
    ],
)
def test_its_settings_are_those_of_the_files(words):
    found = consumed(*words)
    assert found == NeoXArgs.from_ymls(["conf/a.yml", "conf/b.yml"])
    assert found.user_script == "work.py"
    assert "user_script" not in found


def test_the_words_of_this_process_are_the_default(monkeypatch):
    monkeypatch.setattr("sys.argv", ["deepy.py", "work.py", "-d", "conf", "a"])
    assert NeoXArgs.consume_deepy_args() == NeoXArgs.from_ymls(["conf/a.yml"])


@pytest.mark.parametrize("suffix", [".yml", ".yaml", ".json"])
def test_a_suffix_may_be_left_out(suffix):
    write(f"conf/mine.v2{suffix}", **MODEL, seed=11)
    for name in ("mine.v2", f"mine.v2{suffix}"):
        assert consumed("-d", "conf", name).seed == 11


def test_an_existing_file_comes_before_one_with_a_suffix_and_that_before_a_preset():
    write("quickstart.yml", **MODEL, seed=1)
    assert consumed("quickstart").seed == 1
    write("quickstart", **MODEL, seed=2)
    assert consumed("quickstart").seed == 2


def test_presets_are_found_unless_a_directory_is_given():
    assert consumed("quickstart").num_layers > 0
    with pytest.raises(UserError, match=r"^conf/quickstart: there is no such file; there is: a, b$"):
        consumed("-d", "conf", "quickstart")
    with pytest.raises(UserError, match=r"^nowhere: there is no such directory"):
        consumed("-d", "nowhere", "a")


GIVEN = {
    "wandb_group": (["--wandb_group", "g"], "g"),
    "wandb_run_name": (["--wandb_run_name", "n"], "n"),
    "wandb_team": (["--wandb_team", "7"], "7"),
    "eval_tasks": (["--eval_tasks", "lambada", "piqa"], ["lambada", "piqa"]),
    "iteration": (["--iteration", "5"], 5),
    "eval_results_prefix": (["--eval_results_prefix", "p"], "p"),
    "hostfile": (["-H", "other"], "other"),
    "sample_input_file": (["-i", "in.txt"], "in.txt"),
    "sample_output_file": (["-o", "out.txt"], "out.txt"),
    "autotuning_run": (["--autotuning", "tune"], "tune"),
}


def test_every_flag_has_a_case():
    assert {flag.key for flag in FLAGS} == set(GIVEN)


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.key)
def test_a_flag_sets_its_key_and_comes_before_the_files(flag):
    words, value = GIVEN[flag.key]
    found = consumed("-d", "conf", "a", "b", *words)
    assert getattr(found, flag.key) == value
    assert str(found.origin(flag.key)) == f"command line ({flag.names[-1]})"
    if len(flag.names) > 1:
        assert consumed("-d", "conf", "a", "b", flag.names[-1], *words[1:]) == found


def test_overrides_stand_among_the_files():
    found = consumed("-d", "conf", "a", "seed=3", "--iteration", "2")
    assert (found.seed, found.iteration) == (3, 2)


def test_a_setting_by_flag_and_by_override_is_refused_naming_both():
    with pytest.raises(SettingsError) as caught:
        consumed("-d", "conf", "a", "b", "wandb-group=x", "hostfile=y", "--wandb_group", "g", "-H", "h")
    assert str(caught.value).splitlines() == [
        "wandb_group: is given twice, as --wandb_group ('g') and as wandb-group=x (remove one)",
        "hostfile: is given twice, as --hostfile ('h') and as hostfile=y (remove one)",
    ]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["a", "--wandb_grop", "g"], "there is no option --wandb_grop; did you mean '--wandb_group'?"),
        (["a", "--wandb_g", "g"], "there is no option --wandb_g;"),
        (["a", "--iteration", "x"], "argument --iteration: invalid int value: 'x'"),
        (["a", "--autotuning", "walk"], "argument --autotuning: invalid choice: 'walk'"),
        (["a", "--eval_tasks", "x", "seed=1"], "seed=1 is not a task; write overrides before --eval_tasks"),
        (["a", "--wandb_group"], "argument --wandb_group: expected one argument"),
        ([], "the following arguments are required: FILE"),
        (["absent"], "conf/absent: there is no such file; there is: a, b"),
    ],
)
def test_what_is_no_command_line_is_said_in_a_sentence(words, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)) as caught:
        consumed("-d", "conf", *words)
    assert caught.value.exit_code == 2


def test_a_script_that_is_not_there_is_refused():
    with pytest.raises(UserError, match=r"^gone.py: there is no such script"):
        NeoXArgs.consume_deepy_args(["gone.py", "-d", "conf", "a"])
    module = NeoXArgs.consume_deepy_args(["my.module", "-d", "conf", "a", "launcher_module=true"])
    assert module.user_script == "my.module"


@pytest.mark.parametrize(
    ("given", "pattern"),
    [
        ({"use_wandb": True, "wandb_group": "g"}, r"g_[a-z0-9]{8}"),
        ({"use_wandb": True}, r"[a-z0-9]{8}"),
        ({"use_wandb": True, "wandb_group": "g", "compat": "gpt-neox"}, r"g_[a-z0-9]{8}_[a-z0-9]{8}"),
        ({"use_wandb": True, "compat": "gpt-neox"}, r"[a-z0-9]{8}_[a-z0-9]{8}"),
        ({"use_wandb": False, "wandb_group": "g"}, "g"),
        ({"wandb_group": "g"}, "g"),
    ],
)
def test_a_group_in_weights_and_biases_is_the_runs_own(given, pattern):
    write("conf/w.yml", **given)
    groups = {consumed("-d", "conf", "a", "w").wandb_group for _ in range(2)}
    assert all(re.fullmatch(pattern, group) for group in groups)
    assert len(groups) == (2 if given.get("use_wandb") else 1)


# DeepSpeed's command line


def test_only_what_differs_from_deepspeeds_defaults_is_an_option():
    assert options() == []
    assert options(num_nodes=-1, master_port=29500, launcher="pdsh", force_multi=False, launcher_log_level="info") == []
    assert options(launcher="local", master_port=0) == []


def test_options_have_gpt_neox_order():
    given = {
        "no_ssh_check": True,
        "launcher": "openmpi",
        "master_addr": "10.0.0.1",
        "master_port": 1234,
        "num_gpus": 2,
        "num_nodes": 3,
        "hostfile": "hosts",
        "ssh_port": 22,
        "launcher_module": True,
        "force_multi": True,
    }
    assert options(**given) == [
        *("--hostfile", "hosts", "--num_nodes", "3", "--num_gpus", "2", "--master_port", "1234"),
        *("--master_addr", "10.0.0.1", "--launcher", "openmpi", "--force_multi", "--no_ssh_check"),
        *("--ssh_port", "22", "--module"),
    ]


@pytest.mark.parametrize("key", ["deepspeed_slurm", "deepspeed_mpi"])
def test_a_scheduler_that_starts_ranks_is_used_on_one_host_too(key):
    assert options(**{key: True}) == ["--force_multi"]


def test_what_the_environment_says_comes_last(monkeypatch):
    monkeypatch.setenv("DLTS_HOSTFILE", "theirs")
    monkeypatch.setenv("MASTER_ADDR", "10.0.0.2")
    expected = ["--hostfile", "mine", "--no_ssh_check", "--hostfile", "theirs", "--master_addr", "10.0.0.2"]
    assert options(hostfile="mine", no_ssh_check=True) == expected


@pytest.mark.parametrize("filters", [{"include": "localhost:0"}, {"exclude": "localhost:0"}])
def test_num_gpus_gives_way_to_a_choice_of_slots_with_a_notice(filters):
    made = args(num_gpus=2, **filters)
    ((name, value),) = filters.items()
    assert made.get_deepspeed_main_args()[:3] == [f"--{name}", value, "work.py"]
    (notice,) = runner_notices(made)
    assert str(notice) == "dictionary: num_gpus: is left out: include and exclude choose among the slots"
    assert made.notices == ()  # the settings are as they were
    assert runner_notices(args(num_gpus=2)) == runner_notices(args(**filters)) == []


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"launcher": "slrum"}, "launcher: 'slrum' is not known to DeepSpeed's launcher (did you mean 'slurm'?)"),
        ({"num_nodes": 1, "include": "a"}, "num_nodes, include: DeepSpeed's launcher takes one or the other"),
        ({"include": "a", "exclude": "b"}, "include, exclude: 'a' and 'b' exclude each other (give one of them)"),
    ],
)
def test_what_deepspeeds_launcher_cannot_do_is_refused(given, sentence):
    with pytest.raises(SettingsError, match=re.escape(sentence)):
        options(**given)


def test_the_settings_follow_the_script():
    made = args(seed=3)
    made.world = World.local(2)
    words = made.get_deepspeed_main_args()
    assert [words[0], words[1], words[3]] == ["work.py", "--deepspeed_config", "--megatron_config"]
    assert len(words) == 5
    assert handed_over(words) == {**made.to_dict(), "user_script": "work.py"}
    assert handed_over(words, "--deepspeed_config")["train_batch_size"] == 4
    assert all(re.fullmatch(r"[A-Za-z0-9_=-]+", word) for word in (words[2], words[4]))


@pytest.mark.parametrize("ranks", [{"num_gpus": 2}, {"num_gpus": 1, "num_nodes": 2}, {"global_num_gpus": 2}])
def test_deepspeeds_configuration_is_for_the_ranks_that_the_settings_name(ranks):
    made = args(train_batch_size=8, train_micro_batch_size_per_gpu=4, gradient_accumulation_steps=1, **ranks)
    config = handed_over(made.get_deepspeed_main_args(), "--deepspeed_config")
    assert config["train_batch_size"] == 8


HOSTS = "a slots=4\nb slots=2\n"


@pytest.mark.parametrize(
    ("given", "ranks"),
    [
        ({"hostfile": "hosts"}, 6),
        ({"hostfile": "hosts", "num_nodes": 1}, 4),
        ({"hostfile": "hosts", "num_gpus": 2}, 4),
        ({"hostfile": "hosts", "include": "a:0,2@b"}, 4),
        ({"hostfile": "hosts", "exclude": "a:3", "num_gpus": 1}, 5),
        ({"hostfile": "hosts", "global_num_gpus": 3}, 3),
        ({"hostfile": "absent", "num_gpus": 2}, 2),
        ({"include": "localhost:0,3"}, 2),
        ({"exclude": "localhost:0", "num_gpus": 4}, 3),
    ],
)
def test_a_wrapper_of_ones_own_gets_the_ranks_of_the_hostfile(given, ranks):
    Path("hosts").write_text(HOSTS)
    words = args(**given).get_deepspeed_main_args()
    assert handed_over(words, "--deepspeed_config")["train_batch_size"] == 2 * ranks


def test_the_hostfile_of_the_environment_is_the_one_that_counts(monkeypatch):
    Path("hosts").write_text(HOSTS)
    monkeypatch.setenv("DLTS_HOSTFILE", "hosts")
    words = args(hostfile="absent").get_deepspeed_main_args()
    assert handed_over(words, "--deepspeed_config")["train_batch_size"] == 12


def test_with_autotuning_deepspeeds_configuration_is_a_file(place, monkeypatch):
    words = args(autotuning_run="tune").get_deepspeed_main_args()
    assert words[:4] == ["--autotuning", "tune", "work.py", "--deepspeed_config"]
    assert words[4] == str(place / "ds_config.json")
    config = json.loads((place / "ds_config.json").read_text())
    assert (config["gradient_clipping"], config["autotuning"]) == (1.0, {"enabled": True})
    (place / "ds_config.json").unlink()
    monkeypatch.setenv("RANK", "1")
    args(autotuning_run="tune").get_deepspeed_main_args()
    assert not (place / "ds_config.json").exists()


def test_a_rank_that_autotuning_starts_tells_deepspeed_so():
    made = args(autotuning_run="tune", autotuning={"metric": "latency"})
    assert made.deepspeed_config["autotuning"] == {"enabled": True, "metric": "latency"}
    words = made.get_deepspeed_main_args()
    words[words.index("--deepspeed_config") + 1] = encoded({"autotuning": {"enabled": True, "metric_path": "m.json"}})
    read = NeoXArgs.consume_neox_args(input_args=words)
    assert read.deepspeed_config["autotuning"] == {"enabled": True, "metric_path": "m.json"}
    assert "autotuning" not in args(autotuning={"enabled": True}).deepspeed_config


def test_a_plugin_with_keys_of_the_launcher_may_be_off(monkeypatch):
    monkeypatch.setenv("NEOX_DISABLE_PLUGINS", "neox-toolkit:launchers,neox-toolkit:loggers")
    made = consumed("-d", "conf", "a", "num_gpus=2")
    assert made.get("deepspeed_mpi", "none has it") == "none has it"
    words = made.get_deepspeed_main_args()
    assert words[:2] == ["--num_gpus", "2"]
    assert NeoXArgs.consume_neox_args(input_args=words).rank == 0


def test_without_a_script_there_is_nothing_to_start():
    with pytest.raises(UserError, match="user_script: not set"):
        NeoXArgs.from_dict(MODEL).get_deepspeed_main_args()


def test_settings_too_long_for_an_argument_are_refused_naming_the_longest():
    paths = ["x" * 100] * 950
    with pytest.raises(
        UserError, match=rf"at most {LONGEST_ARGUMENT} .* the longest is train_data_paths \(\d+ bytes\)"
    ):
        args(train_data_paths=paths).get_deepspeed_main_args()
    words = args(train_data_paths=paths[:900]).get_deepspeed_main_args()
    assert 100_000 < len(words[-1]) <= LONGEST_ARGUMENT


# The installed DeepSpeed


@pytest.fixture(scope="module")
def runner():
    before = os.environ.get("DS_ACCELERATOR")
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    from deepspeed.launcher import runner

    if before is None:
        del os.environ["DS_ACCELERATOR"]
    return runner


def test_its_options_are_those_that_we_know(runner):
    known = set(vars(runner.parse_args(["script.py"]))) - {"user_script", "user_args"}
    assert {option.name for option in RUNNER_OPTIONS} == known
    assert set(runner.LAUNCHER_CLASSES) == set(DEEPSPEED_LAUNCHERS)


def test_its_autotuner_begins_with_what_is_written_for_it(runner, place, monkeypatch):
    from deepspeed.autotuning import autotuner

    monkeypatch.setattr(autotuner, "tabulate", print)  # it prints a table at its end
    words = args(autotuning_run="tune", num_nodes=1, num_gpus=1).get_deepspeed_main_args()
    begun = autotuner.Autotuner(runner.parse_args(words), {"localhost": [0]})
    assert begun.autotuning_config.enabled
    assert begun.user_config["train_batch_size"] == 2


SET = {
    "autotuning_run": "run",
    "num_nodes": 2,
    "num_gpus": 2,
    "master_port": 1234,
    "launcher": "slurm",
    "ssh_port": 22,
    "node_rank": 0,
    "launcher_args": "--exclusive",
    "launcher_log_level": "error",
}
TEXTS = {"hostfile", "include", "exclude", "master_addr", "venv_script", "bind_core_list", "enable_each_rank_log"}


@pytest.mark.parametrize("option", RUNNER_OPTIONS, ids=lambda option: option.name)
def test_it_reads_every_option_as_it_was_set(runner, option):
    key = option.key or option.name
    value = SET.get(key, "-x" if key in TEXTS else True)
    parsed = runner.parse_args(args(**{key: value}).get_deepspeed_main_args())
    assert getattr(parsed, option.name) == value
    assert parsed.user_script == "work.py"
    assert parsed.user_args[::2] == ["--deepspeed_config", "--megatron_config"]


def test_comment_and_account_reach_srun_once(runner):
    made = args(launcher="slurm", comment="a run's comment", account="lab", launcher_args="--exclusive --mem 0")
    parsed = runner.parse_args(made.get_deepspeed_main_args())
    pool = {"a": 2, "b": 2}
    hosts = {name: list(range(slots)) for name, slots in pool.items()}
    command = runner.SlurmRunner(parsed, runner.encode_world_info(hosts), pool).get_cmd({}, hosts)
    expected = ["--exclusive", "--mem", "0", "--comment", "a run's comment", "--account", "lab"]
    assert command[:10] == ["srun", "-n", "4", *expected]
    assert command.count("--comment") == command.count("--account") == 1


def test_comment_and_account_are_for_srun_alone():
    assert options(comment="c", account="a") == []


# A rank's command line


def test_what_was_handed_over_is_read_back():
    made = consumed("-d", "conf", "a", "b", "optimizer.type=adamw", "optimizer.params.lr=1e-4", "--wandb_group", "ü g")
    words = ["--local_rank=1", *made.get_deepspeed_main_args(), "--more"]
    read = NeoXArgs.consume_neox_args(input_args=words)
    assert read == made
    assert read.groups == made.groups
    assert read.user_script == "work.py"
    assert {str(read.origin(key)) for key in read.to_dict()} == {"handed over"}


def test_the_words_of_this_process_are_read_by_default(monkeypatch):
    monkeypatch.setattr("sys.argv", args(seed=3).get_deepspeed_main_args())
    assert NeoXArgs.consume_neox_args().seed == 3


TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "seed": st.integers(1, 10**9),
            "init_method_std": st.floats(0, 1, exclude_min=True),
            "gpt_j_residual": st.booleans(),
            "wandb_group": st.none() | TEXT,
            "train_data_paths": st.lists(TEXT.filter(bool), max_size=3),
            "sample_output_file": TEXT,
        },
    )
)
def test_any_settings_survive_the_way(given):
    try:
        made = args(**given)
    except UserError:
        return  # a path that names a variable which is not set
    assert NeoXArgs.consume_neox_args(input_args=made.get_deepspeed_main_args()).to_dict() == made.to_dict()


def test_a_program_overwrites_what_was_handed_over():
    made = args(zero_optimization={"stage": 1})
    overwrite = {"zero_optimization": None, "checkpoint-activations": False, "train_micro_batch_size_per_gpu": 4}
    read = NeoXArgs.consume_neox_args(overwrite, made.get_deepspeed_main_args())
    assert read.zero_optimization is None
    assert read.checkpoint_activations is False
    assert read.train_micro_batch_size_per_gpu == 4
    assert str(read.origin("zero_optimization")) == "overwrite_values"


def test_a_program_overwrites_by_any_name_and_only_once_each():
    words = args(checkpoint_factor=3).get_deepspeed_main_args()
    assert NeoXArgs.consume_neox_args({"save-interval": 5}, words).checkpoint_factor == 5
    with pytest.raises(SettingsError, match="log_interval: is given twice"):
        NeoXArgs.consume_neox_args({"log-interval": 5, "log_interval": 6}, words)


def test_autotuning_replaces_what_it_tries_and_nothing_else():
    made = args(autotuning_run="tune", gradient_clipping=0.5)
    tried = {"train_micro_batch_size_per_gpu": 8, "zero_optimization": {"stage": 2}, "gradient_clipping": 3.0}
    words = made.get_deepspeed_main_args()
    words[words.index("--deepspeed_config") + 1] = encoded(tried)
    read = NeoXArgs.consume_neox_args(input_args=words)
    assert (read.train_micro_batch_size_per_gpu, read.zero_optimization) == (8, {"stage": 2})
    assert read.gradient_clipping == 0.5
    assert str(read.origin("zero_optimization")) == "DeepSpeed's autotuning"
    assert NeoXArgs.consume_neox_args({"train_micro_batch_size_per_gpu": 4}, words).train_micro_batch_size_per_gpu == 4


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "--megatron_config is missing: start this program on its ranks by `neox deepy SCRIPT FILE...`"),
        (["--megatron_config"], "argument --megatron_config: expected one argument"),
        (["--megatron_config", "%%%"], "--megatron_config: '%%%' is not JSON in base64"),
        (["--megatron_config", "a"], "--megatron_config: 'a' is not JSON in base64"),
        (["--megatron_config", "é"], "--megatron_config: 'é' is not JSON in base64"),
        (["--megatron_config", encoded("x")], "--megatron_config: holds str instead of keys with values"),
        (
            ["--megatron_config", encoded({"sed": 1})],
            "handed over: sed: there is no such setting (did you mean 'seed'?)",
        ),
        (
            ["--megatron_config", encoded({**MODEL, "autotuning_run": "run"}), "--deepspeed_config", "ds.json"],
            "--deepspeed_config: 'ds.json' is not JSON in base64",
        ),
    ],
)
def test_what_makes_no_sense_to_a_rank_is_said_in_a_sentence(words, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        NeoXArgs.consume_neox_args(input_args=words)


# Which rank a process is

SLURM = {"SLURM_LOCALID": "1", "SLURM_PROCID": "5", "SLURM_NTASKS": "8"}
TOLD_BY = [
    ({}, {}, Place(0, 0, 1)),
    ({}, {"LOCAL_RANK": "1", "RANK": "3", "WORLD_SIZE": "4"}, Place(1, 3, 4)),
    ({"deepspeed_slurm": True}, SLURM, Place(1, 5, 8)),
    (
        {"deepspeed_slurm": True},
        {"SLURM_LOCALID": "0", "SLURM_PROCID": "2", "SLURM_NNODES": "3", "SLURM_NTASKS_PER_NODE": "2"},
        Place(0, 2, 6),
    ),
    (
        {"deepspeed_mpi": True},
        {"OMPI_COMM_WORLD_LOCAL_RANK": "0", "OMPI_COMM_WORLD_RANK": "4", "OMPI_COMM_WORLD_SIZE": "6"},
        Place(0, 4, 6),
    ),
    (
        {"deepspeed_mpi": True},
        {"MV2_COMM_WORLD_LOCAL_RANK": "1", "MV2_COMM_WORLD_RANK": "4", "MV2_COMM_WORLD_SIZE": "6"},
        Place(1, 4, 6),
    ),
    ({"deepspeed_mpi": True}, {"MPI_LOCALRANKID": "1", "PMI_RANK": "4", "PMI_SIZE": "6"}, Place(1, 4, 6)),
]


@pytest.mark.parametrize(("given", "environment", "expected"), TOLD_BY)
def test_a_rank_knows_its_place(monkeypatch, given, environment, expected):
    words = args(**given).get_deepspeed_main_args()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    read = NeoXArgs.consume_neox_args(input_args=words)
    assert Place(read.local_rank, read.rank, read.world_size) == expected
    assert read.world.size == expected.world_size
    assert read.deepspeed_config["train_batch_size"] == 2 * expected.world_size
    assert not {"local_rank", "rank", "world_size", "world"} & set(read.to_dict())
    read.rank, read.world = 0, World.local(1)
    assert (read.rank, read.world_size) == (0, 1)


@pytest.mark.parametrize(
    ("given", "environment", "sentence"),
    [
        ({"deepspeed_slurm": True}, {}, "SLURM_LOCALID, SLURM_PROCID, SLURM_NNODES, SLURM_NTASKS_PER_NODE not set"),
        ({"deepspeed_slurm": True}, {**SLURM, "SLURM_PROCID": "x"}, "SLURM_PROCID: 'x' is not a whole number >= 0"),
        ({"deepspeed_mpi": True}, {}, "deepspeed_mpi: OMPI_COMM_WORLD_LOCAL_RANK, "),
        ({}, {"RANK": "-1"}, "RANK: '-1' is not a whole number >= 0"),
        ({}, {"WORLD_SIZE": "0"}, "WORLD_SIZE: '0' is not a whole number >= 1; it is set by whatever starts the ranks"),
        ({"deepspeed_slurm": True}, {**SLURM, "SLURM_NTASKS": "0"}, "SLURM_NTASKS: '0' is not a whole number >= 1"),
    ],
)
def test_a_rank_that_nobody_told_its_place_says_so(monkeypatch, given, environment, sentence):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=re.escape(sentence)):
        NeoXArgs.consume_neox_args(input_args=args(**given).get_deepspeed_main_args())


def test_torch_is_told_what_slurm_says(monkeypatch):
    made = args(deepspeed_slurm=True)
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    for name in ("LOCAL_RANK", "RANK", "WORLD_SIZE"):
        monkeypatch.setenv(name, "99")
    configure_distributed_args(made)
    assert [os.environ[name] for name in ("LOCAL_RANK", "RANK", "WORLD_SIZE")] == ["1", "5", "8"]
    assert (made.local_rank, made.rank, made.world_size) == (1, 5, 8)
