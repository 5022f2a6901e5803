"""Memories found for a question, how often they were recalled, and why or why not."""
