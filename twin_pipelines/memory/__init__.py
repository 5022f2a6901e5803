"""What the subject said about themselves, weighed.

In come the turns of the whole history; out go `core_candidates`: self-statements in the subject's
words, each with the raw messages it came from and an importance made of named parts. Nothing is
promoted here: that waits behind the evaluation, in the promotion room. The room writes
`core_candidates`, nothing else.
"""
