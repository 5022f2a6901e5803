"""A conversation history in PostgreSQL becomes an LLM twin, and the twin stays current."""
