"""Is it the person: style consistency, its verifier, and how well real replies are told apart."""
