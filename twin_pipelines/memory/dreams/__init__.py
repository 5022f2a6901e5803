"""Imagined memories: two that lie far apart become a hope, a wish, a fear or a question."""
