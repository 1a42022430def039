"""The classifier: trained here or given, its predictions, and how well it classifies."""

if CONFIG.model.checkpoint is None:

    rule train:
        """Train the classifier; killed and started again it goes on from the last epoch."""
        input:
            images=images("train", "tune"),
            train=shard_tables("parquet", "train"),
            tune=shard_tables("parquet", "tune"),
            weights=(
                []
                if CONFIG.model.weights in ("imagenet", "random")
                else CONFIG.model.weights
            ),
            code=program("train"),
        output:
            checkpoint=ensure(f"{RUN}/model/checkpoint.pt", non_empty=True),
            history=table("history"),
        log:
            f"{RUN}/logs/train.log",
        benchmark:
            f"{RUN}/benchmarks/train.tsv"
        conda:
            "../envs/torch.yaml"
        threads: CONFIG.train.threads
        resources:
            device=DEVICE,
            batch_size=BATCH_SIZE,
            mem_mb=growing(16000),
            # A retry goes on from the last epoch and needs no more time.
            runtime=2880,
            gpu=GPU,
        params:
            software=software("train"),
            settings=CONFIG.part("seed", "classes", "data.size", "model", "train"),
            train=images("train"),
            tune=images("tune"),
            # Not an output: Snakemake deletes the outputs of a job that is killed.
            state=f"{RUN}/model/training.state",
        shell:
            "python {input.code:q} --settings {params.settings:q} --train-images {params.train:q}"
            " --train-manifests {input.train:q} --tune-images {params.tune:q}"
            " --tune-manifests {input.tune:q} --device {resources.device} --batch-size {resources.batch_size}"
            " --state {params.state:q} --checkpoint {output.checkpoint:q}"
            " --history {output.history:q} 2>&1 | tee {log:q}"

else:

    rule import_checkpoint:
        """Take a checkpoint that was trained elsewhere; nothing is trained."""
        input:
            source=CONFIG.model.checkpoint,
            code=program("import_checkpoint"),
        output:
            checkpoint=ensure(f"{RUN}/model/checkpoint.pt", non_empty=True),
            history=table("history"),
        log:
            f"{RUN}/logs/import_checkpoint.log",
        benchmark:
            f"{RUN}/benchmarks/import_checkpoint.tsv"
        conda:
            "../envs/torch.yaml"
        threads: 1
        resources:
            mem_mb=growing(4000),
            runtime=growing(10),
        params:
            software=software("import_checkpoint"),
            settings=CONFIG.part("classes", "data.size", "model.backbone"),
        shell:
            "python {input.code:q} --settings {params.settings:q} --source {input.source:q}"
            " --checkpoint {output.checkpoint:q} --history {output.history:q} 2>&1 | tee {log:q}"

    rule train:
        """Target: the classifier, however it came about."""
        input:
            f"{RUN}/model/checkpoint.pt",


rule predict:
    """Logit and probability of every class of every tune and test image."""
    input:
        checkpoint=f"{RUN}/model/checkpoint.pt",
        images=images(*EXPLAINED),
        code=program("predict"),
    output:
        predictions=ensure(f"{RUN}/predictions.parquet", non_empty=True),
    log:
        f"{RUN}/logs/predict.log",
    benchmark:
        f"{RUN}/benchmarks/predict.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        device=DEVICE,
        batch_size=BATCH_SIZE,
        mem_mb=growing(4000),
        runtime=growing(60),
        gpu=GPU,
    params:
        software=software("predict"),
    shell:
        "python {input.code:q} --checkpoint {input.checkpoint:q} --images {input.images:q}"
        " --device {resources.device} --batch-size {resources.batch_size} --predictions {output.predictions:q}"
        " 2>&1 | tee {log:q}"


rule classify:
    """AUROC and AUPRC of each class, with patient-bootstrap intervals."""
    input:
        predictions=f"{RUN}/predictions.parquet",
        manifests=shard_tables("parquet", *EXPLAINED),
        code=program("classify"),
    output:
        table=table("classification"),
    log:
        f"{RUN}/logs/classify.log",
    benchmark:
        f"{RUN}/benchmarks/classify.tsv"
    conda:
        "../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        software=software("classify"),
        settings=CONFIG.part(
            "seed",
            "evaluate.replicates",
            "evaluate.confidence",
            "evaluate.min_patients",
        ),
    shell:
        "python {input.code:q} --settings {params.settings:q} --predictions {input.predictions:q}"
        " --manifests {input.manifests:q} --table {output.table:q} 2>&1 | tee {log:q}"
