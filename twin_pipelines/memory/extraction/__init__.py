"""What a day's messages tell: episodes, statements, feelings, what is in mind."""
