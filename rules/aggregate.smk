# Stage 5: the final tables and figures, from scores and the ledgers in their records alone: without a model.
#
#   results/published/<study>-<key>/tables/, figures/   <-  results/scores/<checkpoint>-<key>/<metric>-<key>/, all of them
#
# When a run ends they are copied to results/tables/ and results/figures/.
from fairshrink.reporting import captions

for job in PLAN.of("aggregate"):

    rule aggregate:
        input:
            ancient(job.inputs),
        output:
            [report(path, **captions.labels(path)) if captions.shown(path) else path for path in job.outputs],
        log:
            "logs/aggregate/tables.log",
        benchmark:
            "logs/aggregate/tables.tsv"
        localrule: True
        conda:
            planner.environment_file(workflow, "analysis")
        threads: 1
        params:
            plan=PLAN_FILE,
            job=job.name,
        message:
            f"tables and figures of study {PLAN.study}"
        shell:
            "python scripts/aggregate.py --plan {params.plan} --job {params.job} --threads {threads} > {log} 2>&1"
