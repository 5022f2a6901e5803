"""Erasure: what somebody asks to be forgotten goes, everywhere, and does not come back.

Takes a request (a message, a conversation, a person, a source, some days) and removes it, with
every row that was derived from it, from every table in one transaction; leaves tombstones and a
rule, which hold hashes only, so that the database itself keeps it out when it is imported,
replayed or taken over again. Then files are cleansed, the days are derived anew, everything is
searched for what went, and a signed receipt is written. May touch every table and every file of the
state folder; knows every room but the command line.
"""
