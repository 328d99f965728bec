# Before all stages: what is missing here but recorded by a DVC pointer is fetched instead of computed, never on a
# compute node. A job fetches up to 500 artifacts of one stage.
#
#   the path of any artifact   <-  its pointer (the path with .dvc), from DVC's cache or remote
rule restore:
    input:
        PLAN.outputs("restore"),
    message:
        "everything is restored"
