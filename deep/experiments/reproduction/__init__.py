"""The paper's tables: their numbers, the runs that reproduce them, and the report that sets both side by side."""

__all__ = ["comparison", "data_sets", "paper_tables", "reproduce", "table_markdown"]
