"""Two-way sync: two databases of the application, one here and one in the cloud, kept the same.

Comes in: two PostgreSQL servers (`[sync]` in twin.toml) whose tables have a primary key and a time
of the last change. Goes out: native replication in both directions with `origin = none`, one
trigger on each of the tables that decides which writer was last, the conflicts this decided, and
whether both sides agree. Nothing else is put into the application's schema.
"""
