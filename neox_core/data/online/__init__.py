"""Samples that a server makes while a run goes on, for reinforcement learning: `dataset_impl: online`.

`messages` and `framing` are the protocol, `server` serves it; `client` asks for batches, `stream` makes samples of them with
the `baselines` of their rewards, and `dataset` is what a run opens. Nothing is imported here, so that a server loads no more
than it uses.
"""
