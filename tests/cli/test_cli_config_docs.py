"""`neox config docs`: the committed page is the generated one."""

from __future__ import annotations

from markdown_pages import ROOT

from neox_core.config.compatibility import DEFECTS
from neox_core.config.derived import DERIVED
from neox_core.config.older import OLDER
from neox_core.config.ownership import Ownership
from neox_core.plugins import PluginManager, Switches

PAGE = ROOT / "docs" / "settings.md"


def test_the_committed_page_is_the_generated_one(neox):
    assert neox("config", "docs").out == PAGE.read_text(), "write it anew: neox config docs --output docs/settings.md"


def test_it_tells_every_key_computed_value_earlier_key_and_defect(neox):
    text = neox("config", "docs").out
    names = [*Ownership.of(PluginManager(Switches(allow=("neox-toolkit",)))).keys, *DERIVED, *OLDER]
    assert not [name for name in names if f"\n| `{name}` | " not in text]
    assert not [defect for defect in DEFECTS.values() if defect.upstream not in text]


def test_plugins_of_others_are_left_out_unless_asked_for(neox):
    neox.write(
        "acme.py",
        "from neox_core.config import Settings, setting\n\n\n"
        "class AcmeSettings(Settings, group='acme'):\n    '''Acme.'''\n\n"
        "    acme_depth: int = setting(1, 'Depth')\n\n\n"
        "def neox_settings():\n    return ['acme:AcmeSettings']\n",
    )
    assert "acme_depth" not in neox("-p", "acme.py", "config", "docs").out
    assert (
        "| `acme_depth` | Depth | a whole number | `1` | acme |" in neox("-p", "acme.py", "config", "docs", "--all").out
    )


def test_pages_that_tell_of_defects_lead_to_the_table():
    assert "settings.md#defects-of-gpt-neox" in (ROOT / "docs" / "migrating.md").read_text()
