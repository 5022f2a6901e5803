"""What the subject answers in which situation, and what of it recurs."""
