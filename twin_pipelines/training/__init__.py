"""Training: from a frozen dataset to a LoRA adapter that speaks like the subject.

Comes in: a dataset version's train and validation files and a base model's folder. Goes out: a
folder with the adapter, its losses and a report, one row in `adapters`, one MLflow run. The trainer
is a process of its own (`python -m twin_pipelines.training.sft`) that knows neither Dagster nor the
database; the asset starts it through Dagster Pipes. Only the folder of the adapter is written.
"""
