# What compressing a language model does to its social bias.
# The study says what to compute, `fairshrink.plan` what of it is missing; the rules below run just that.
import sys

sys.path.insert(0, workflow.basedir)

from fairshrink import workflow_plan

PLAN_FILE, PLAN = workflow_plan.prepare(workflow, config)


report: "report/workflow.rst"


rule all:
    default_target: True
    input:
        PLAN.final,


include: "rules/restore.smk"
include: "rules/download.smk"
include: "rules/finetune.smk"
include: "rules/compress.smk"
include: "rules/evaluate.smk"
include: "rules/aggregate.smk"


workflow_plan.tidy(workflow)


onstart:
    workflow_plan.begin(PLAN)


onsuccess:
    workflow_plan.end(PLAN)


onerror:
    workflow_plan.end(PLAN)
