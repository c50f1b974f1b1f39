"""Recipes: everything that decides what a training does, checked field by field."""

__all__ = ["checks", "recipe", "values"]
