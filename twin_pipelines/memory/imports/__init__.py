"""Memory tables of an existing companion, row by row."""
