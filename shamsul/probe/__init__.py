"""Probes, for which the model is asked again: faithfulness, robustness and randomisation."""
