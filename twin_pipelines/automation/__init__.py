"""What runs by itself: jobs, the daily schedule, and the sensor that decides when to train again.

Comes last but for the command line, and may know every room. It starts runs and never writes rows.
"""
