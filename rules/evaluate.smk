# Stage 4: scores of single items. A job scores several checkpoints of one baseline, each loaded once for all metrics.
# Controls that are not stored are made of their baseline, each once for all its metrics.
#
#   results/scores/<checkpoint>-<key>/<metric>-<key>/items.parquet
#     <-  results/baselines/<checkpoint>-<key>/ or results/compressed/<checkpoint>-<key>/
#         data/<download>-<key>/ of the metric's data, and of the task's tables where the metric needs them
rule evaluate:
    input:
        PLAN.outputs("evaluate"),
    message:
        "stage evaluate is complete"
