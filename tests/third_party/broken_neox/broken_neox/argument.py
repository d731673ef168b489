"""A hook with an argument that it is not called with."""


def neox_step_end(run, stepp):
    pass
