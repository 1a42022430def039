"""Settings, inputs, options and kinds of the methods of the run, for the rules."""


def method_settings(wildcards):
    """Return the settings on which a method's heatmaps depend."""
    return shamsul.config.canonical(
        {
            "seed": CONFIG.seed,
            "classes": CONFIG.classes,
            "explained": CONFIG.explained_classes,
            "name": wildcards.method,
            "entry": registry.entry(METHODS[wildcards.method]),
            "module": type(METHODS[wildcards.method]).__module__,
        }
    )


def probe_settings(wildcards):
    """Return the settings on which a method's probes depend."""
    method = METHODS[wildcards.method]
    return shamsul.config.canonical(
        {
            "seed": CONFIG.seed,
            "classes": CONFIG.classes,
            "probe": CONFIG.probe,
            "entry": registry.entry(method),
            "module": type(method).__module__,
            "perturbations": (
                CONFIG.explain.perturbations if method.uses_shared else None
            ),
        }
    )


def more_for_method(wildcards):
    """Return the inputs that a method declares for its heatmaps besides images and weights."""
    method = METHODS[wildcards.method]

    def of(shards):
        return [
            f"{RUN}/heatmaps/{m}/{shard}.h5" for m in method.members for shard in shards
        ]

    more = train_inputs(method)
    if method.members:
        more["members"] = of([wildcards.shard])
    if other := other_checkpoint(method):
        more["watched"] = other
    elif type(method).files is not Method.files:
        names = image_ids(wildcards.shard)
        if PRIVATE and names:
            names = pseudonyms.originals(names, PRIVATE)
        more["watched"] = given(*method.files(names))
    if method.uses_shared:
        more["perturbed"] = f"{RUN}/perturbed/{wildcards.shard}.h5"
    if method.supervised:
        shards = sorted({*SHARDS["tune"], wildcards.shard})
        more["tune_members"] = of(SHARDS["tune"])
        more["tune_images"] = images("tune")
        more["tune_masks"] = [f"{RUN}/shards/{s}.masks.parquet" for s in SHARDS["tune"]]
        more["manifests"] = [f"{RUN}/shards/{s}.patients.parquet" for s in shards]
    return more


def private_names(wildcards):
    """Return the folder of the names that were replaced, for a method that looks for them."""
    named = type(METHODS[wildcards.method]).files is not Method.files
    return str(PRIVATE) if PRIVATE and named else None


def train_inputs(method):
    """Return the files of the train split that a method reads: its first shard, a sample."""
    first = SHARDS["train"][0]
    files = {
        "images": f"{RUN}/images/{first}.h5",
        "labels": f"{RUN}/shards/{first}.parquet",
    }
    if method.train_inputs:
        listed()
    return {f"train_{part}": files[part] for part in method.train_inputs}


def image_ids(shard):
    """Return the names of a shard's images, once they are known."""
    listed()
    file = Path(f"{PLACE}/shards/{shard}.patients.parquet")
    # Before a first run the checkpoint is only planned.
    if not file.exists():
        return []
    import pyarrow.parquet  # Here, because it is slow to import.

    return pyarrow.parquet.read_table(file, columns=["image_id"])[0].to_pylist()


def other_checkpoint(method):
    """Return as input the file of another network that a method explains instead of the run's."""
    other = getattr(method, "checkpoint", None)
    return given(other) if other else []


# Once, because thousands of jobs ask for it.
NETWORK_CODE = inspection.code(CONFIG.model)


def network_code(wildcards):
    """Return the files of code that build the network, for the jobs that ask it."""
    asks = not hasattr(wildcards, "method") or needs_gpu(wildcards.method)
    return NETWORK_CODE if asks else []


def needs_gpu(method):
    """Return whether a method's heatmaps are made by asking the network."""
    return METHODS[method].cost != "no_model" and not METHODS[method].uses_shared


def chexlocalize_options(method):
    """Return CheXlocalize's options for one method, without the other methods' smoothing."""
    options = CONFIG.evaluate.chexlocalize.model_dump()
    own = {name: side for name, side in options["smoothing"].items() if name == method}
    return options | {"smoothing": own}


def foreign_methods():
    """Return the origin of the maps of each method that does not explain the run's network alone."""

    def origin(method):
        if getattr(method, "checkpoint", None):
            return "checkpoint"
        members = [METHODS[name] for name in method.members]
        if isinstance(method, (Imported, Segmentations)) or any(map(origin, members)):
            return "elsewhere"
        return None

    origins = {name: origin(method) for name, method in METHODS.items()}
    return {name: found for name, found in origins.items() if found}


def method_kinds():
    """Return the kind of each method by name: an explanation, a control or a human reader."""
    return {name: method.kind for name, method in METHODS.items()}
