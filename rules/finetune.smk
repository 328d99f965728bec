# Stage 2: baselines, a model fine-tuned on one split of a task, or unchanged where the task asks for no training.
#
#   results/baselines/<model>-<task>-s<split>-<key>/   <-  data/<download>-<key>/ of the model and of the task's tables
#   results/baselines/<model>-<task>-<key>/            <-  data/<download>-<key>/ of the model     (without training)
rule finetune:
    input:
        PLAN.outputs("finetune"),
    message:
        "stage finetune is complete"
