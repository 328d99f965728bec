# Stage 1: what the study is made from, checked against its pin. Never on a compute node.
#
#   data/<download>-<key>/   <-  the Hugging Face Hub, PyPI, an address, this machine, or rules that generate it
rule download:
    input:
        PLAN.outputs("download"),
    message:
        "stage download is complete"
