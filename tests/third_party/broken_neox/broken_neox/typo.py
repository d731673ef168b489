"""A hook's name with a letter missing."""


def neox_componets():
    return []
