"""From token files to samples: which tokens make which sample, and how several datasets are mixed."""
