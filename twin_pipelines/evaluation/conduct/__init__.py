"""How the twin behaves: length, emoji, variety, language, refusals, endings and time."""
