"""`neox config`: the verbs about settings, each in a file. None of them starts anything or imports torch or numpy."""
