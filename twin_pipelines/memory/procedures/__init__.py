"""How things are done: what the subject recurrently does in a situation."""
