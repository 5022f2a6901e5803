"""How likely the twin finds what the person really said: perplexity, picking, use of context."""
