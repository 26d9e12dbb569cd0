"""`make bench`: how long things take. No limit depends on it but the goals of a slow volume; what .ci/run checks are counts (budgets.py)."""
