# Stage 2: baselines.
for job in PLAN.of("finetune"):

    rule:
        name:
            job.name
        input:
            ancient(job.inputs),
        output:
            job.outputs,
        log:
            f"logs/finetune/{job.name}.log",
        benchmark:
            f"logs/finetune/{job.name}.tsv"
        priority: job.priority
        conda:
            "../envs/training.yaml"
        threads: PLAN.threads
        resources:
            mem_mb=planner.growing(job.mem_mb),
            runtime=planner.growing(job.minutes),
            gpu=job.gpus,
            cpus_per_task=job.cpus,
        params:
            plan=PLAN_FILE,
            job=job.name,
        message:
            f"finetune {job.about}"
        shell:
            "python scripts/finetune.py --plan {params.plan} --job {params.job} --threads {threads} > {log} 2>&1"


rule finetune:
    input:
        [output for job in PLAN.of("finetune") for output in job.outputs],
    message:
        "stage finetune is complete"
