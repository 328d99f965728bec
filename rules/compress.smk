# Stage 3: compressed checkpoints. A job makes several of one baseline, which it loads once.
#
#   results/compressed/<baseline>-<method>-<settings>-<key>/   <-  results/baselines/<baseline>-<key>/
#                          and, where the method needs the task,    data/<download>-<key>/ of the model and the tables
#
# <baseline> is <model>-<task>-s<split>; <settings> are those that tell checkpoints of one method apart.
rule compress:
    input:
        PLAN.outputs("compress"),
    message:
        "stage compress is complete"
