"""A recipe of somebody else's distribution, and what files may name of it."""

from __future__ import annotations

import yaml
from plugin_distributions import neox


def test_it_is_named_changed_printed_and_read_from_a_file(installed, tmp_path):
    def run(*words):
        return neox(*words, cwd=tmp_path, path=[installed.acme])

    done = run("train", "acme_tiny(layers=3)", "layers+=1", "seed=5", "--print")
    assert done.returncode == 0, done.stderr
    settings = yaml.safe_load(done.stdout)
    assert (settings["num_layers"], settings["seed"]) == (4, 5)

    assert run("run", "acme_tiny", "--save", "tree.yml").returncode == 0
    again = run("train", "tree.yml", "layers*=3", "--print")
    assert yaml.safe_load(again.stdout)["num_layers"] == 6, again.stderr

    (tmp_path / "other.yml").write_text("_target_: acme_neox.recipes.tiny\nlayers: 2\n")
    refused = run("train", "other.yml", "--print")
    assert refused.returncode == 2
    assert "'acme_neox.recipes.tiny' is not allowed" in refused.stderr
