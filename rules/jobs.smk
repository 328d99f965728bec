# The rules that do the work: one for each job of the plan, with exactly its files. What the jobs of a stage make, and
# from what, is said in the stage's own file; what they have in common is here.
for job in PLAN.of("restore", "download", "finetune", "compress", "evaluate"):

    rule:
        name:
            job.name
        input:
            ancient(job.inputs),
        output:
            job.outputs,
        log:
            f"logs/{job.stage}/{job.name}.log",
        benchmark:
            f"logs/{job.stage}/{job.name}.tsv"
        priority: job.priority
        localrule: job.is_local
        conda:
            None if job.stage == "restore" else planner.environment_file(workflow, "training")
        threads: 1 if job.stage == "restore" else PLAN.threads
        resources:
            mem_mb=planner.growing(job.mem_mb),
            runtime=planner.growing(job.minutes),
            gpu=job.gpus,
            cpus_per_task=job.cpus,
        params:
            stage=job.stage,
            plan=PLAN_FILE,
            job=job.name,
        message:
            f"{job.stage} {job.about}"
        shell:
            "python scripts/{params.stage}.py --plan {params.plan} --job {params.job} --threads {threads} > {log} 2>&1"
