"""What holds of all settings: saved and loaded they are the same, files come in any order, a refusal names what was written."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st
from settings_strategies import ANYTHING, OWNERSHIP, PLUGINS, of_key, settings
from small_settings import MODEL

from neox_core.config import Entry, NeoXArgs, World, dump_yaml, read_text
from neox_core.config.entry import merge
from neox_core.config.loading import read_file
from neox_core.errors import Origin, SettingsError

quick = hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def load(values) -> NeoXArgs:
    return NeoXArgs([Entry(key, value, Origin(source="here")) for key, value in values.items()], PLUGINS)


def attempt(work):
    try:
        return work()
    except SettingsError as error:
        return sorted(problem.message for problem in error.problems)


@pytest.mark.parametrize("key", sorted(OWNERSHIP.by_key))
@hypothesis_settings(max_examples=5)
@given(data=st.data())
def test_each_key_takes_what_its_type_says(key, data):
    value = data.draw(of_key(key))
    found = attempt(lambda: load({**MODEL, key: value}))
    assert isinstance(found, NeoXArgs), found
    assert getattr(found, key) == value


@quick
@given(settings())
def test_what_is_saved_and_loaded_is_the_same(tmp_path, values):
    args = load(values)
    args.save_yml(tmp_path / "saved.yml")
    again = NeoXArgs(read_file(tmp_path / "saved.yml"), PLUGINS)
    assert again == args
    assert again.groups == args.groups


@quick
@given(settings(), st.randoms(use_true_random=False))
def test_the_order_of_files_does_not_matter(values, shuffle: random.Random):
    keys = list(values)
    shuffle.shuffle(keys)
    cut = shuffle.randint(0, len(keys))
    parts = [{key: values[key] for key in chosen} for chosen in (keys[:cut], keys[cut:])]
    files = [read_text(dump_yaml(part), f"{number}.yml") for number, part in enumerate(parts)]
    one, two = (
        attempt(lambda files=files: NeoXArgs(merge(files).values(), PLUGINS).resolve(World.local(2)))
        for files in (files, files[::-1])
    )
    if isinstance(one, list):
        assert one == two
    else:
        assert (one.all_values(), one.deepspeed) == (two.all_values(), two.deepspeed)


@quick
@given(
    settings(),
    st.dictionaries(st.sampled_from(sorted(OWNERSHIP.by_key)) | st.text("abc_", min_size=1), ANYTHING, max_size=4),
)
def test_a_refusal_names_a_key_that_was_written(values, odd):
    values = {**values, **odd}
    try:
        load(values).resolve(World.local(3))
    except SettingsError as error:
        assert any(set(problem.keys) & set(values) for problem in error.problems)
        for problem in error.problems:
            assert problem.keys
            assert problem.message


@pytest.mark.parametrize("key", sorted(MODEL))
def test_what_is_missing_is_named(key):
    values = {name: value for name, value in MODEL.items() if name != key}
    with pytest.raises(SettingsError) as caught:
        load(values).resolve(World.local())
    assert any(key in problem.keys for problem in caught.value.problems)
