"""Components that are listed, and that cannot be used."""

from neox_core.plugins import Attention


def neox_components():
    return [
        Attention(
            name="needs_missing",
            summary="its requirement is not installed",
            factory="broken_neox.heavy:build",
            extra="missing",
            probe="broken_neox.heavy:probe",
        ),
        Attention(
            name="needs_newer",
            summary="its requirement is installed in another version",
            factory="broken_neox.heavy:build",
            extra="outdated",
        ),
        Attention(name="needs_nothing", summary="no such extra", factory="broken_neox.heavy:build", extra="typo"),
        Attention(name="no_factory", summary="its factory is not there", factory="broken_neox.unusable:nothing"),
        Attention(name="no_module", summary="nor the module", factory="broken_neox.nothing:build"),
        Attention(
            name="probe_says_no",
            summary="its probe gives a reason",
            factory="broken_neox.heavy:build",
            probe="broken_neox.unusable:reason",
        ),
        Attention(
            name="probe_raises",
            summary="its probe fails",
            factory="broken_neox.heavy:build",
            probe="broken_neox.unusable:failing",
        ),
    ]


def reason():
    return "it needs a quantum computer"


def failing():
    raise OSError("libquantum.so: cannot open shared object file")
