# What compressing a language model does to its social bias.
# The study says what to compute, `fairshrink.planning.plan` what of it is missing; the rules below run just that.
from fairshrink.explaining import remaining
from fairshrink.planning import workflow as planner

PLAN_FILE, PLAN = planner.prepare(workflow, config)


report: "report/workflow.rst"


rule all:
    default_target: True
    input:
        PLAN.final,


include: "rules/jobs.smk"
include: "rules/restore.smk"
include: "rules/download.smk"
include: "rules/finetune.smk"
include: "rules/compress.smk"
include: "rules/evaluate.smk"
include: "rules/aggregate.smk"


planner.tidy(workflow)


onstart:
    planner.begin(workflow, PLAN)
    if workflow.local_exec:
        remaining.tell(planner.study_file(workflow, config), PLAN, workflow.resource_settings.cores)


onsuccess:
    planner.end(PLAN)


onerror:
    planner.end(PLAN, failed=True)
