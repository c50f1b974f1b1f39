"""Every claim with its status: the list, the checks, `verify`, the table of statements, and what is open."""

__all__ = ["at_setting", "checks", "evidence", "open_scans", "plain", "registry", "statement_table", "theory", "verify"]
