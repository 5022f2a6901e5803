"""What runs by itself: jobs, the daily schedule, the retraining sensor.

Comes last but for the command line, and may know every room. It starts runs and never touches rows.
"""
