"""The runs that GPT-NeoX recorded are reproduced, and a run that differs in anything is not let through."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from neox_core.testing.recorded import absolute_error, relative_error, rule_weights

FIXTURES = Path(__file__).parents[1] / "golden"
FAST = 3
"""Steps that are enough to notice a difference."""


@pytest.fixture
def run(workers):
    """The command on a rank that lives."""
    return lambda *words: workers(1).run("golden_command:command", *map(str, words))[0]


@pytest.fixture
def altered(tmp_path):
    """A copy of `base` that a function has changed."""

    def alter(change, *, whole=False) -> Path:
        for part in ("bin", "idx"):
            shutil.copy(FIXTURES / f"tokens_a.{part}", tmp_path)
        fixture = json.loads((FIXTURES / "base.json").read_text())
        if not whole:
            for key in ("losses", "lrs", "grad_norms", "batches"):
                fixture[key] = fixture[key][:FAST]
            del fixture["final_params"]
        change(fixture)
        path = tmp_path / "altered.json"
        path.write_text(json.dumps(fixture))
        return path

    return alter


def failed(output: str) -> set[str]:
    """Names of the comparisons that failed."""
    (checks,) = json.loads(output).values()
    return {check["name"] for check in checks if not check["passed"]}


WITHOUT_OBJECTIVE = {"rm"}
"""Of those only the batches can be compared, which the tests of data do."""
RECORDED = sorted(
    path.stem
    for path in FIXTURES.glob("*.json")
    if "losses" in json.loads(path.read_text()) and path.stem not in WITHOUT_OBJECTIVE
)
WITHOUT_NORMS = {"zero1"}
"""GPT-NeoX does not tell the gradient's norm there."""


def test_no_recorded_run_is_forgotten():
    assert len(RECORDED) == 49


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_runs_are_reproduced(run, name):
    code, out, err = run(FIXTURES / f"{name}.json")
    assert (code, err) == (0, "")
    assert out.count(" ok\n") == 9 - (name in WITHOUT_NORMS)
    assert "FAILED" not in out


def test_nothing_altered_is_nothing_failed(run, altered):
    code, out, _ = run("--json", altered(lambda fixture: None))
    assert code == 0
    assert failed(out) == set()
    (checks,) = json.loads(out).values()
    assert checks[1] == {"name": "logits", "error": checks[1]["error"], "tolerance": 2e-5, "passed": True}
    assert 0 < checks[1]["error"] < 2e-5


def one_number(key, index=1, by=1e-3):
    def change(fixture):
        fixture[key][index] *= 1 + by

    return change


def one_logit(fixture):
    fixture["logits"]["row0_every16_first8"][2][3] += 1e-3


def evaluation(fixture):
    fixture["eval_loss"] *= 1.001


def logits_shape(fixture):
    fixture["logits"]["shape"][0] += 1


def one_digest(fixture):
    fixture["data"]["tokens_a"]["sha256_idx"] = "0" * 64


def one_token_of_the_first_row(fixture):
    fixture["tokens_row0"][7] += 1


def one_batch(fixture):
    fixture["batches"][1]["tokens"] = "0" * 16


def one_mask(fixture):
    fixture["batches"][1]["mask_sum"] -= 1


@pytest.mark.parametrize(
    ("change", "noticed"),
    [
        (one_logit, {"logits"}),
        (logits_shape, {"logits"}),
        (one_digest, {"token files that differ"}),
        (one_token_of_the_first_row, {"token files that differ"}),
        (evaluation, {"eval loss"}),
        (one_batch, {"batches that differ"}),
        (one_mask, {"batches that differ"}),
        (one_number("losses"), {"losses"}),
        (one_number("lrs"), {"learning rates"}),
        (one_number("grad_norms", by=0.01), {"gradient norms"}),
        (lambda fixture: fixture["losses"].append(1.0), {"losses", "learning rates", "gradient norms"}),
    ],
    ids=[
        "logit",
        "shape",
        "digest",
        "first row",
        "evaluation",
        "batch",
        "mask",
        "loss",
        "rate",
        "norm",
        "one loss too many",
    ],
)
def test_one_altered_number_is_noticed_and_only_that(run, altered, change, noticed):
    code, out, _ = run("--json", altered(change))
    assert code == 1
    assert failed(out) == noticed


@pytest.mark.parametrize(
    ("key", "alter", "noticed"),
    [
        ("l2", lambda norm: norm * 1.01, {"final parameters"}),
        ("first4", lambda values: [*values[:3], values[3] + 0.1], {"their first values"}),
    ],
)
def test_one_altered_final_parameter_is_noticed(run, altered, key, alter, noticed):
    def change(fixture):
        entry = fixture["final_params"]["sequential.3.mlp.linear1.weight"]
        entry[key] = alter(entry[key])

    code, out, _ = run("--json", altered(change, whole=True))
    assert code == 1
    assert failed(out) == noticed


def test_one_altered_token_is_noticed(run, altered):
    path = altered(lambda fixture: None)
    read = json.loads(path.read_text())["tokens_row0"][:8]
    tokens = np.memmap(path.parent / "tokens_a.bin", dtype="<u2", mode="r+")
    (place,) = np.flatnonzero((np.lib.stride_tricks.sliding_window_view(tokens, 8) == read).all(1))
    tokens[place + 4] = tokens[place + 4] % 499 + 1
    tokens.flush()
    code, out, _ = run("--json", path)
    assert code == 1
    assert {"token files that differ", "logits", "batches that differ", "losses"} <= failed(out)


def test_one_altered_weight_is_noticed(workers):
    differences = workers(1).run("golden_command:with_one_weight_altered", FIXTURES / "base.json")[0]
    assert "logits" in differences


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda fixture: fixture.pop("losses"), "is not a fixture: losses: Field required"),
        (lambda fixture: fixture["config"].update(hidden_siz=3), "hidden_siz"),
        (lambda fixture: fixture["config"].update(data_path="elsewhere"), "elsewhere"),
        (lambda fixture: fixture["params"].popitem(), "is not there"),
        (lambda fixture: fixture["params"].update(extra=[2]), "'extra' is not a weight of this architecture"),
        (
            lambda fixture: fixture["params"].update({"sequential.0.word_embeddings.weight": [500, 32]}),
            "'embedding.weight' to load has the shape (500, 32), in this model (512, 32)",
        ),
        (lambda fixture: fixture["config"].update(optimizer={"type": "adan"}), "there is no optimizer 'adan'"),
    ],
)
def test_a_fixture_that_cannot_be_run_is_a_sentence_and_exit_code_2(run, altered, change, sentence):
    code, out, err = run(altered(change))
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert sentence in err


def alter(*path, to):
    """A change of the value at a path."""

    def change(fixture):
        for part in path[:-1]:
            fixture = fixture[part]
        fixture[path[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (alter("losses", 1, to=float("nan")), "losses.1: Input should be a finite number"),
        (alter("losses", to=[]), "losses: List should have at least 1 item"),
        (alter("logits", "logsumexp_row0", 3, to=float("nan")), "logits.logsumexp_row0.3: Input should be a finite"),
        (alter("logits", "mean", to=None), "logits.mean: Input should be a valid number"),
        (alter("logits", to={}), "logits.std: Field required"),
        (alter("config", to=3), "config: Input should be an object"),
        (alter("data", "tokens_a", to="tokens_a"), "data.tokens_a: Input should be an object"),
        (alter("params", "sequential.0.word_embeddings.weight", to=["a", 2]), "word_embeddings.weight.0: Input should"),
        (alter("params", "sequential.0.word_embeddings.weight", to=[]), "(), in this model (512, 32)"),
        (alter("batches", 0, "tokens", to=1), "batches.0.tokens: Input should be a valid string"),
        (alter("final_params", to={"extra": {"l2": 1.0}}), "final_params: 'extra' is not among params"),
        (lambda fixture: (fixture.pop("config"), fixture.pop("batches")), "config: Field required; batches: Field"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(run, altered, change, sentence):
    path = altered(change)
    code, out, err = run(path)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {path}: ")
    assert sentence in err


def test_fixtures_that_cannot_be_run_take_nothing_from_the_others(run, altered, tmp_path):
    good, bad = altered(lambda fixture: None), tmp_path / "bad.json"
    bad.write_text("{}")
    absent = tmp_path / "absent.json"
    code, out, err = run("--json", bad, good, absent)
    assert code == 2
    assert failed(out) == set()
    assert [line.partition(": ")[2].partition(": ")[0] for line in err.splitlines()] == [str(bad), str(absent)]


def test_fields_that_were_not_recorded_are_not_compared(run, altered):
    def bare(fixture):
        for key in fixture.keys() - {"config", "data", "params", "losses", "batches"}:
            del fixture[key]

    code, out, _ = run("--json", altered(bare))
    assert code == 0
    (checks,) = json.loads(out).values()
    assert [check["name"] for check in checks] == ["token files that differ", "batches that differ", "losses"]


def test_an_infinite_error_is_null_in_json(run, altered):
    code, out, _ = run("--json", altered(alter("logits", "logsumexp_row0", to=[1.0])))
    assert code == 1
    (checks,) = json.loads(out, parse_constant=pytest.fail).values()
    assert [check["error"] for check in checks if not check["passed"]] == [None]


def test_a_weight_that_stood_still_in_the_recorded_run_alone_is_noticed(run, altered):
    name = "sequential.3.mlp.linear1.weight"

    def frozen(fixture):
        first = rule_weights(name, fixture["params"][name]).astype(np.float64)
        fixture["final_params"] = {name: {"l2": float(np.linalg.norm(first)), "first4": first.flat[:4].tolist()}}

    code, out, _ = run("--json", altered(frozen, whole=True))
    assert code == 1
    assert "final parameters" in failed(out)


@pytest.mark.parametrize("content", [None, "", "[1, 2]", "{"])
def test_what_is_no_fixture_at_all_is_a_sentence_too(run, tmp_path, content):
    path = tmp_path / "odd.json"
    if content is not None:
        path.write_text(content)
    code, _, err = run(path)
    assert code == 2
    assert err.startswith(f"error: {path}: ")


def test_a_number_that_is_missing_or_is_not_one_is_no_success():
    for error in (absolute_error, relative_error):
        assert error([1.0, 2.0], [1.0, 2.0]) == 0
        assert error([1.0], [1.0, 2.0]) == float("inf")
        assert error([float("nan")], [1.0]) == float("inf")
        assert error([], []) == 0
    assert relative_error([2.0, 1.0], [1.0, 1.0]) == 1
    assert absolute_error([2.0, -5.0], [1.0, 1.0]) == 6


def test_weights_follow_their_names():
    assert np.array_equal(rule_weights("a.weight", (2, 3)), rule_weights("a.weight", (2, 3)))
    assert not np.array_equal(rule_weights("a.weight", (2, 3)), rule_weights("b.weight", (2, 3)))
    assert rule_weights("a.weight", (200, 200)).std() == pytest.approx(0.25, rel=0.02)
    assert rule_weights("a.bias", (40000,)).std() == pytest.approx(0.1, rel=0.02)
    for name in ("a.layernorm.weight", "a.norm.scale", "a.g"):
        assert rule_weights(name, (40000,)).mean() == pytest.approx(1, abs=0.01)
