"""Stands in for CORE's Python packages in tests: the calls and types that exports use, and a record of each call."""
