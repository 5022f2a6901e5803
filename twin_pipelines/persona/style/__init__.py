"""How the subject writes: habits, words, what stands out beside other people."""
