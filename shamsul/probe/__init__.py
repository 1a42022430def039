"""What needs the model again: faithfulness, robustness and randomisation of heatmaps."""
