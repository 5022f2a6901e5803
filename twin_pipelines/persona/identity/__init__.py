"""The page of the prompt: facts, rules and the owner's lines within a budget."""
