"""Readers of files that nobody should trust: pickles, image folders, Parquet, archives."""

__all__ = ["archives", "cifar", "cifar_pickle", "image_files", "image_folder", "parquet"]
