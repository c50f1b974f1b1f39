"""One script per figure: `compute` writes a CSV, `draw` makes the picture from that CSV and nothing else."""
