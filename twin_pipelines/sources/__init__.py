"""Where messages come from: the chitchat package, JSONL and CSV files, any PostgreSQL table, and
chats with the twin, where they consented.

In come other people's formats; out go `raw_messages`, one row a message as it was written, with a
consent for every source, an account of what was rejected or repaired, and the subject: whose voice
is learnt, and whether it is one voice. Reads packages, files and source databases, never writes to
them; writes `consents`, `raw_messages`, `imports`, `import_problems`, `subjects`, `voice_tests`,
and of `chat_turns` whether they landed.
"""
