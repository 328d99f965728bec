# Stage 3: compressed checkpoints, and controls that are stored. A job makes several of one baseline, which it loads
# once; a control that is trained has a job of its own.
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
