"""Parts of a rule's job: program, options, processor, memory and logs."""

# What follows changes where and how fast a job runs and never its result, so rules take it as
# resources, which rerun nothing when they change, and not as parameters.
# Without a request, a GPU that happens to be there is another's.
DEVICE = "cpu" if CONFIG.compute.gpu is False else CONFIG.compute.device
BATCH_SIZE = CONFIG.compute.batch_size
GPU = int(
    DEVICE != "cpu"
    and (
        CONFIG.compute.gpu or DEVICE == "cuda" or shutil.which("nvidia-smi") is not None
    )
)


def check_gpu_is_known():
    """Raise an error where nobody said whether the cluster that runs the jobs has GPUs."""
    if not workflow.local_exec and DEVICE == "auto" and CONFIG.compute.gpu is None:
        raise WorkflowError(
            "configuration: compute.gpu: is required where jobs run on other machines than Snakemake"
            " itself, say true or false; the profile's is lost where `--config` is given, so give it"
            " there too: `--config compute='{gpu: true}' ...`"
        )


def want_targets():
    """Have Snakemake make what `--until` and `--omit-from` end with.

    A job is made where another asks for its files, or they are targets. These options take the
    other jobs away, and once the manifest is made Snakemake forgets that the last ones were wanted.
    """
    for job in workflow.dag.targetjobs:
        workflow.dag.targetfiles.update(job.output)


def start_jobs_at_once():
    """Take away Snakemake's limit of jobs a second where they run on this machine.

    Under the limit Snakemake looks for jobs to start once more a second after each look. The looks
    add up with the jobs that have ended, and cost what the jobs could use.
    """
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


def program(name):
    """Return the script of that name, by a path that stays in a copy of the project's folder."""
    script = PROJECT / "scripts" / f"{name}.py"
    inside = script.is_relative_to(Path.cwd())
    return given(os.path.relpath(script) if inside else str(script))[0]


@functools.cache
def software(name, *more):
    """Return a digest of a program's code and the versions of its libraries.

    The code is the script and all that it imports from this project. `more` are further files that
    it reads or imports. The digest is a parameter, which spares dozens of input files for each of
    thousands of jobs.
    """
    files = [PROJECT / "scripts" / f"{name}.py", *(PROJECT / file for file in more)]
    # In environments of their own the jobs have other libraries, and Snakemake watches these.
    isolated = workflow.deployment_settings.deployment_method
    libraries = {} if isolated else shamsul.job.fingerprint.libraries(*files)
    return shamsul.config.canonical(
        {"code": shamsul.job.fingerprint.digest(*files), "libraries": libraries}
    )


def failures():
    """Return the log of each job that failed for good, and the last line of that log."""
    jobs = [
        job
        for failed in workflow.scheduler.failed
        for job in (failed if failed.is_group() else [failed])
    ]
    for log in sorted(str(job.log[0]) for job in jobs if job.log):
        lines = (
            Path(log).read_text(errors="replace").splitlines()
            if Path(log).exists()
            else []
        )
        yield f"failed: {log}: {lines[-1] if lines else 'it is empty'}"


def growing(amount):
    """Make a resource function that returns MB or minutes, as much again at each attempt.

    A job that was killed because it had too little gets more when it is tried again.
    """
    return lambda wildcards, attempt: amount * attempt


def command(name, more=(), **values):
    """Return the params of a rule: what its results depend on besides files, and its options.

    Snakemake keeps `software` and the values on record and reruns a job where they change. It keeps
    no record of a param that follows from inputs and outputs, as the options do: input `a_b` is
    option `--a-b`. Inputs `code` and `watched`, and files without a name, are no options.

    Parameters
    ----------
    name : program of the rule.
    more : further files of its code, or a function that returns them for a job's wildcards.
    values : options that are no files of the rule, such as settings. Functions are called with the
        job's wildcards, and None is no option.
    """

    def found(value, wildcards):
        return value(wildcards) if callable(value) else value

    # Functions all, because Snakemake takes `{word}` in plain text for a wildcard.
    values = {
        key: functools.partial(found, value)
        for key, value in values.items()
        if value is not None
    }

    def options(wildcards, input, output):
        asked = {key: value(wildcards) for key, value in values.items()}
        files = {**dict(input.items()), **dict(output.items())}
        named = {n: f for n, f in files.items() if n not in ("code", "watched")}
        return shamsul.job.options.write(asked | named)

    return {
        "software": lambda wildcards: software(name, *found(more, wildcards)),
        **values,
        "options": options,
    }


MEASURED = []


def jobs(pattern, **wildcards):
    """Return the pathvar `job` and note the rule's benchmarks, which are part of the report.

    Parameters
    ----------
    pattern : name of the rule's logs and benchmarks.
    wildcards : values of the pattern's wildcards, for all jobs of the run.
    """
    MEASURED.extend(expand(pattern, **wildcards))
    return pattern


def benchmarks(wildcards):
    """Return Snakemake's measurements of the jobs that made the tables."""
    return [f"{PLACE}/benchmarks/{job}.tsv" for job in MEASURED]
