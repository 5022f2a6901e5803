"""What fades: retention, what would be archived and what that does to search."""
