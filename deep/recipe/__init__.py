"""Recipes: everything that decides what a training does, setting by setting, in parts."""

__all__ = ["checks", "recipe", "settings", "values"]
