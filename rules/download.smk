# Stage 1: fetch what the study is made from.
for job in PLAN.of("download"):

    rule:
        name:
            job.name
        input:
            ancient(job.inputs),
        output:
            job.outputs,
        log:
            f"logs/download/{job.name}.log",
        benchmark:
            f"logs/download/{job.name}.tsv"
        priority: job.priority
        localrule: True
        conda:
            "../envs/training.yaml"
        threads: PLAN.threads
        params:
            plan=PLAN_FILE,
            job=job.name,
        message:
            f"download {job.about}"
        shell:
            "python scripts/download.py --plan {params.plan} --job {params.job} --threads {threads} > {log} 2>&1"


rule download:
    input:
        [output for job in PLAN.of("download") for output in job.outputs],
    message:
        "stage download is complete"
