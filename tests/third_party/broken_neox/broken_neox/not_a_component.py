"""Something that is no descriptor."""


def neox_components():
    return [{"name": "flash"}]
