"""What every room stands on, and which knows nothing of twins.

Connections and migrations, the embedded PostgreSQL server, day partitions, model references,
MLflow tracking, alerts, the bridge from Great Expectations to asset checks. Nothing here imports a
room.
"""

import warnings

# Single-run backfills and partitioned checks are beta and preview in the pinned Dagster release.
warnings.filterwarnings("ignore", message=r".*is currently in (beta|preview)")
