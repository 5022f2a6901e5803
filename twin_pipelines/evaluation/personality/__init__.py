"""Personality: does the twin have the person's traits, preferences, facts and manner?

Comes in: train and later exchanges of the subject, the frozen set, other people's exchanges, and
what systems reply and answer. Goes out: four relative agreements, their mean and the share of
grounded answers, each with interval, control and ceiling. Questions are made of train sessions
alone. Nothing here is a diagnosis: a person is compared with nobody but themselves. Knows neither
Dagster nor SQL; the only models are those handed in as systems.
"""
