# Stage 4: per-item scores; a job scores several checkpoints of one baseline.
for job in PLAN.of("evaluate"):

    rule:
        name:
            job.name
        input:
            ancient(job.inputs),
        output:
            job.outputs,
        log:
            f"logs/evaluate/{job.name}.log",
        benchmark:
            f"logs/evaluate/{job.name}.tsv"
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
            f"evaluate {job.about}"
        shell:
            "python scripts/evaluate.py --plan {params.plan} --job {params.job} --threads {threads} > {log} 2>&1"


rule evaluate:
    input:
        [output for job in PLAN.of("evaluate") for output in job.outputs],
    message:
        "stage evaluate is complete"
