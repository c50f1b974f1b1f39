"""The campaign of figures/predictions.toml: its pictures, and what the pages say of it."""
