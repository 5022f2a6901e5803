"""What people say of themselves, like and dislike, found by patterns."""
