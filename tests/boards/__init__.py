"""Boards: what is generated for them, checked without the vendor's tools."""
