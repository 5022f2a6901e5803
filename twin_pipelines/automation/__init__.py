"""What runs by itself: jobs, the daily schedule, and the sensor that decides when to train again.

Beside it what an operator wants kept: a drop folder, alerts and where they are told, freshness, old
runs purged. Comes last but for the command line, and may know every room; of its own it writes
`alert_deliveries` and `dropped_files` alone. `erasure`, which takes back what somebody asks to be
forgotten, is a room of its own.
"""
