"""What the `twin` command does, one module a command; `twin_pipelines.cli` is the door.

May know every room. Reads through the rooms' stores and writes only through their functions.
"""
