"""What reruns when something changes: exactly what depends on it."""

import hashlib

SHARDS = ("tune-0000", "test-0000", "test-0001")
AFTER_SCORES = {(rule, "") for rule in ("measure", "localise", "stratify", "runtime", "report")}
AFTER_HEATMAPS = (
    AFTER_SCORES
    | {(rule, "") for rule in ("quality", "probes", "agreements")}
    | {("agreement", f"shard={shard}") for shard in SHARDS[1:]}
)


def heatmaps(*methods):
    return {
        (rule, f"method={method}, shard={shard}")
        for rule, shards in (("explain", SHARDS), ("score", SHARDS), ("probe", SHARDS[1:]))
        for method in methods
        for shard in shards
    }


def test_the_run_ends_in_a_report_and_a_second_one_has_nothing_to_do(finished):
    assert (finished.results / "report.html").stat().st_size > 10_000
    assert "Nothing to be done" in finished.snakemake().stdout + finished.snakemake().stderr


def test_the_order_of_keys_and_the_spelling_of_a_number_rerun_nothing(experiment):
    train = experiment.configuration["train"]
    experiment.configuration["train"] = dict(reversed(train.items())) | {"weight_decay": 0}
    experiment.configuration["compute"] = {"batch_size": 7, "device": "cpu"}
    assert experiment.would_run() == set()


def test_a_lime_parameter_reruns_lime_and_what_follows(experiment):
    experiment.configuration["explain"]["methods"][1]["samples"] = 21
    assert experiment.would_run() == heatmaps("lime") | AFTER_HEATMAPS


def test_a_parameter_of_a_method_on_shared_predictions_asks_the_network_nothing(experiment):
    shared = experiment.configuration["explain"]["methods"][3]
    assert shared["name"] == "shared_lime"
    shared["kernel_width"] = 0.5
    assert experiment.would_run() == heatmaps("shared_lime") | AFTER_HEATMAPS


def test_other_shared_predictions_rerun_the_methods_that_share_them(experiment):
    experiment.configuration["explain"]["perturbations"]["samples"] = 42
    perturb = {("perturb", f"shard={shard}") for shard in SHARDS}
    assert experiment.would_run() == perturb | heatmaps("shared_lime") | AFTER_HEATMAPS


def test_a_consensus_reruns_with_its_members(experiment):
    experiment.configuration["explain"]["methods"][2]["cells"] = 5
    assert experiment.would_run() == heatmaps("random", "consensus") | AFTER_HEATMAPS


def test_another_way_of_resampling_reruns_statistics_alone(experiment):
    experiment.configuration["evaluate"]["interval"] = "percentile"
    statistics = {("probes", ""), ("agreements", "")}
    assert experiment.would_run() == AFTER_SCORES | statistics


def test_probing_more_images_makes_no_heatmap(experiment):
    experiment.configuration["probe"]["images"] = 3
    methods = [
        method.get("name", method["method"])
        for method in experiment.configuration["explain"]["methods"]
    ]
    probes = {job for job in heatmaps(*methods) if job[0] == "probe"}
    after = {("probes", ""), ("runtime", ""), ("report", "")}
    assert experiment.would_run() == probes | after


def test_another_reading_reruns_the_reader(experiment):
    reader = experiment.configuration["explain"]["methods"][-1]
    assert reader.pop("points")
    assert experiment.would_run() == heatmaps("radiologist") | AFTER_HEATMAPS


def test_chexlocalizes_protocol_is_added_without_a_heatmap(experiment):
    experiment.configuration["evaluate"]["protocol"] = "chexlocalize"
    found = experiment.would_run()
    assert {rule for rule, _ in found} == {
        *("chexlocalize", "chexlocalize_summary", "runtime", "report")
    }


def test_a_report_setting_reruns_the_report(experiment):
    experiment.configuration["report"] = {"title": "Another"}
    before = digests(experiment)
    assert experiment.would_run() == {("report", "")}
    experiment.snakemake()
    after = digests(experiment)
    assert {name for name in after if after[name] != before.get(name)} == {"report.html"}
    assert "Another" in (experiment.results / "report.html").read_text()


def test_a_threshold_reruns_no_heatmap(experiment):
    experiment.configuration["evaluate"]["fixed_threshold"] = 0.4
    assert experiment.would_run() == AFTER_SCORES


def test_a_method_added_runs_alone(experiment):
    experiment.configuration["explain"]["methods"].append({"method": "lrp_z"})
    assert experiment.would_run() == heatmaps("lrp_z") | AFTER_HEATMAPS


def test_a_checkpoint_is_not_made_again_for_an_image_of_the_test_split(experiment):
    labels = experiment.results / "phantom" / "phantom" / "CheXpert" / "test_labels.csv"
    lines = labels.read_text().splitlines()
    dropped = lines.pop().split(",")[0].replace("/", "_").removeprefix("test_")
    labels.write_text("\n".join(lines) + "\n")
    # The manifest runs; which shards are stale is known only afterwards.
    experiment.snakemake(f"{experiment.results.relative_to(experiment.folder)}/manifest.parquet")
    jobs = experiment.would_run()
    assert {rule for rule, _ in jobs} >= {"images", "predict", "localise", "report"}
    assert "train" not in {rule for rule, _ in jobs}
    shards = {wildcards.rsplit("shard=")[-1] for rule, wildcards in jobs if rule == "images"}
    assert len(shards) == 1, f"{dropped} is in one shard, and {shards} would be made again"
    for rule in ("explain", "score"):
        touched = {w.rsplit("shard=")[-1] for name, w in jobs if name == rule}
        assert touched == shards


def correct_a_label(experiment):
    """Change one label of test and make the manifest again."""
    labels = experiment.results / "phantom" / "phantom" / "CheXpert" / "test_labels.csv"
    lines = labels.read_text().splitlines()
    first = lines[1].split(",")
    first[1] = "0.0" if first[1] == "1.0" else "1.0"  # No Finding, which has no mask
    labels.write_text("\n".join([lines[0], ",".join(first), *lines[2:]]) + "\n")
    experiment.snakemake(f"{experiment.results.relative_to(experiment.folder)}/manifest.parquet")


def test_a_corrected_label_reruns_no_heatmap(experiment):
    correct_a_label(experiment)
    rules = {rule for rule, _ in experiment.would_run()}
    assert "classify" in rules and not {"images", "train", "predict", "explain", "score"} & rules


def test_a_corrected_label_measures_nothing_anew_under_chexlocalizes_protocol(experiment):
    experiment.configuration["evaluate"]["protocol"] = "chexlocalize"
    folder = experiment.results.relative_to(experiment.folder)
    experiment.snakemake(f"{folder}/tables/chexlocalize.parquet")
    correct_a_label(experiment)
    rules = {rule for rule, _ in experiment.would_run()}
    assert "measure" in rules and not {"chexlocalize", "chexlocalize_summary"} & rules


def test_another_baseline_leaves_strata_and_regressions(experiment):
    experiment.configuration["evaluate"]["baseline"] = "grad_cam"
    assert experiment.would_run() == {("localise", ""), ("runtime", ""), ("report", "")}


def test_a_lost_shard_is_made_again(experiment):
    (experiment.results / "heatmaps" / "lime" / "test-0001.h5").unlink()
    (experiment.results / "report.html").unlink()  # what needs it
    shard = "method=lime, shard=test-0001"
    jobs = {job for job in experiment.would_run() if "method=" in job[1]}
    assert jobs == {("explain", shard), ("score", shard), ("probe", shard)}


def test_the_same_run_elsewhere_has_the_same_tables(finished, tmp_path):
    again = type(finished)(tmp_path, finished.configuration)
    again.snakemake()
    one, other = digests(finished), digests(again)
    tables = {name for name in one if name.endswith(".parquet")}
    timed = {"tables/runtime.parquet", "tables/history.parquet"}
    assert {name for name in tables if one[name] != other[name]} <= timed
    assert len(tables) > 20


def digests(experiment):
    return {
        str(file.relative_to(experiment.results)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(experiment.results.rglob("*"))
        if file.is_file() and not {"logs", "benchmarks"} & set(file.parts)
    }
