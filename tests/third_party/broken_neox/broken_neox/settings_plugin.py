"""Settings groups that cannot be loaded."""


def neox_settings():
    return [
        "broken_neox.import_error:Group",
        "broken_neox.settings:NotAGroup",
        "broken_neox.settings:Demanding",
        "broken_neox.settings:WrongDefault",
    ]
