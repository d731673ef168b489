"""Keys of evaluation."""

from neox_core.config import Settings, setting


class EvaluationSettings(Settings, group="evaluation"):
    """How good a trained model is."""

    eval_tasks: list[str] | None = setting(
        None,
        "Tasks of the Language Model Evaluation Harness, by name",
        origin="gpt-neox",
        changes="nothing",
        pending=True,
    )
    eval_results_prefix: str = setting(
        "", "How the name of the file with results begins", origin="gpt-neox", changes="nothing", pending=True
    )
    char_level_ppl: bool = setting(
        False,
        "Tell the perplexity of a character beside that of a token",
        origin="gpt-neox",
        changes="nothing",
        pending=True,
    )
