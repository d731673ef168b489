"""Which plugins are let in."""

from neox_core.config.settings import Settings, setting


class PluginSettings(Settings, group="plugins"):
    """Which plugins are let in; read before anything else."""

    plugin_disable: list[str] = setting([], "Plugins and components not to use")
    plugin_prefer: dict[str, str] = setting({}, "`kind.name` -> distribution, where several offer a name")
    plugin_require: list[str] = setting([], "Requirements on plugins, such as `acme-neox>=1.2`", changes="nothing")
