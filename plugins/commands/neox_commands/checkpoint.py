"""`neox checkpoint`: what there is to do with checkpoints."""

from __future__ import annotations

from neox_commands.verbs import Verb, VerbGroup

GROUP = VerbGroup(
    "checkpoint",
    "Checkpoints: complete, or not there.",
    {
        "ls": Verb("neox_commands.checkpoint_ls", "the checkpoints of a directory, and what else lies there"),
        "show": Verb("neox_commands.checkpoint_show", "what is in a checkpoint"),
        "verify": Verb("neox_commands.checkpoint_verify", "read checkpoints from end to end"),
        "diff": Verb("neox_commands.checkpoint_diff", "in what two checkpoints differ"),
        "reshard": Verb("neox_commands.checkpoint_reshard", "write a checkpoint as other ranks would have"),
        "average": Verb("neox_commands.checkpoint_average", "the mean of the weights of several checkpoints"),
        "prune": Verb("neox_commands.checkpoint_prune", "delete old checkpoints, never the newest"),
        "push": Verb("neox_commands.checkpoint_push", "copy checkpoints to a store: s3://BUCKET/PREFIX"),
        "pull": Verb("neox_commands.checkpoint_pull", "copy a checkpoint from a store"),
    },
)

main = GROUP.run
