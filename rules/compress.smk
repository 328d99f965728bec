# Stage 3: compressed checkpoints; a job makes several of one baseline, which it loads once.
for job in PLAN.of("compress"):

    rule:
        name:
            job.name
        input:
            ancient(job.inputs),
        output:
            job.outputs,
        log:
            f"logs/compress/{job.name}.log",
        benchmark:
            f"logs/compress/{job.name}.tsv"
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
            f"compress {job.about}"
        shell:
            "python scripts/compress.py --plan {params.plan} --job {params.job} --threads {threads} > {log} 2>&1"


rule compress:
    input:
        [output for job in PLAN.of("compress") for output in job.outputs],
    message:
        "stage compress is complete"
