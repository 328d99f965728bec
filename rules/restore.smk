# Before all stages: fetch what is missing here but recorded by a DVC pointer; never on a compute node.
for job in PLAN.of("restore"):

    rule:
        name:
            job.name
        output:
            job.outputs,
        log:
            f"logs/restore/{job.name}.log",
        benchmark:
            f"logs/restore/{job.name}.tsv"
        priority: job.priority
        localrule: True
        threads: 1
        params:
            plan=PLAN_FILE,
            job=job.name,
        message:
            f"restore {job.about}"
        shell:
            "python scripts/restore.py --plan {params.plan} --job {params.job} > {log} 2>&1"


rule restore:
    input:
        [output for job in PLAN.of("restore") for output in job.outputs],
    message:
        "everything is restored"
