"""Stands in for a package of CORE in tests."""
