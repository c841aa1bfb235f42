"""The metrics of an evaluation against scikit-learn, its intervals and p-values against scipy."""

import json
import math
import subprocess
from collections import defaultdict

import numpy as np
import pytest
import scipy.stats
import sklearn.calibration
import sklearn.metrics
from program import BUILD

DRUGS = 9


def made_up(seed, patients, resamples):
    """Random lists and scores. The first visits are the edge cases: an empty list, one drug, all drugs, no
    true drug, nothing at all, equal scores."""
    draw = np.random.default_rng(seed)

    def some():
        return [int(d) for d in draw.permutation(DRUGS)[:draw.integers(1, DRUGS)]]

    visits = []
    for patient in range(patients):
        for _ in range(draw.integers(1, 4)):
            scores = draw.random(DRUGS).astype(np.float32)
            visits.append({"patient": patient, "truth": some(), "predicted": some(), "other": some(),
                           "scores": [float(s) for s in scores]})
    every = list(range(DRUGS))
    edges = [([3, 1], []), ([2], [2]), ([2], [5]), (every, every), (every, [0]), ([], [4, 2]), ([], [])]
    for visit, (truth, predicted) in zip(visits, edges, strict=False):
        visit["truth"], visit["predicted"] = truth, predicted
    visits[1]["scores"] = [0.5] * DRUGS
    visits[4]["scores"] = [float(np.float32(s)) for s in ([0.25, 0.25, 0.75] * DRUGS)[:DRUGS]]
    visits[7]["scores"] = [0.0, 1.0] + [float(np.float32(0.1))] * (DRUGS - 2)
    pairs = [[0, 1], [2, 5], [3, 7], [4, 8]]
    return {"ddi": pairs, "num_drugs": DRUGS, "resamples": resamples, "seed": seed, "visits": visits}


def values_of(case):
    done = subprocess.run([BUILD / "tests/peers/metric_values"], input=json.dumps(case), text=True,
                          capture_output=True, check=True)
    return json.loads(done.stdout)


def matrix(case, name):
    rows = np.zeros((len(case["visits"]), DRUGS), dtype=int)
    for row, visit in zip(rows, case["visits"], strict=True):
        row[visit[name]] = 1
    return rows


def ddi_rates(case, lists):
    """Interacting pairs and all pairs of each list."""
    harmful = np.zeros((DRUGS, DRUGS), dtype=int)
    for a, b in case["ddi"]:
        harmful[a, b] = harmful[b, a] = 1
    counts = lists.sum(1)
    return np.einsum("vi,ij,vj->v", lists, harmful, lists) / 2, counts * (counts - 1) / 2


@pytest.mark.parametrize("seed", range(5))
def test_metrics_equal_scikit_learn(seed):
    case = made_up(seed, patients=40, resamples=20)
    result = values_of(case)
    truth, lists = matrix(case, "truth"), matrix(case, "predicted")
    scores = np.array([visit["scores"] for visit in case["visits"]])
    ours = {name: np.array([math.nan if v is None else v for v in values])
            for name, values in result["values"].items()}
    asked = {"average": "samples", "zero_division": 0}

    def per_visit(metric):
        return np.array([metric(truth[i:i + 1], lists[i:i + 1], **asked) for i in range(len(truth))])

    harmful, pairs = ddi_rates(case, lists)
    expected = {"jaccard": per_visit(sklearn.metrics.jaccard_score),
                "precision": per_visit(sklearn.metrics.precision_score),
                "recall": per_visit(sklearn.metrics.recall_score),
                "f1": per_visit(sklearn.metrics.f1_score),
                "ddi": harmful / np.maximum(pairs, 1), "drugs": lists.sum(1),
                "prauc": np.array([sklearn.metrics.average_precision_score(t, s) if t.any() else math.nan
                                   for t, s in zip(truth, scores, strict=True)])}
    assert set(ours) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(ours[name], values, rtol=0, atol=1e-12, err_msg=name)
        assert result["row"][name] == pytest.approx(np.nanmean(values), abs=1e-12)
    together = {"average": "micro", "zero_division": 0}
    pooled = {"jaccard": sklearn.metrics.jaccard_score(truth, lists, **together),
              "precision": sklearn.metrics.precision_score(truth, lists, **together),
              "recall": sklearn.metrics.recall_score(truth, lists, **together),
              "f1": sklearn.metrics.f1_score(truth, lists, **together),
              "prauc": sklearn.metrics.average_precision_score(truth.ravel(), scores.ravel()),
              "ddi": harmful.sum() / pairs.sum()}
    for name, value in pooled.items():
        assert result["row"][f"{name}_pooled"] == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("seed", range(3))
def test_calibration_equals_scikit_learn(seed):
    case = made_up(seed, patients=40, resamples=20)
    [found] = values_of(case)["calibration"]  # scores that are ranks have none
    truth = matrix(case, "truth").ravel()
    scores = np.array([visit["scores"] for visit in case["visits"]]).ravel()
    assert found["brier"] == pytest.approx(sklearn.metrics.brier_score_loss(truth, scores), abs=1e-12)
    assert found["log_loss"] == pytest.approx(sklearn.metrics.log_loss(truth, scores), abs=1e-12)
    rate, mean = sklearn.calibration.calibration_curve(truth, scores, n_bins=10, strategy="uniform")
    filled = [b for b in found["bins"] if b["count"] > 0]
    np.testing.assert_allclose([b["rate"] for b in filled], rate, rtol=0, atol=1e-12)
    np.testing.assert_allclose([b["mean"] for b in filled], mean, rtol=0, atol=1e-12)
    counts = np.array([b["count"] for b in filled])
    assert counts.sum() == truth.size
    assert found["ece"] == pytest.approx(np.abs(rate - mean) @ counts / truth.size, abs=1e-12)


def test_abstention_keeps_the_surest_visits():
    case = made_up(1, patients=40, resamples=20)
    result = values_of(case)
    [found] = result["abstention"]
    lists = matrix(case, "predicted")
    scores = np.array([visit["scores"] for visit in case["visits"]])
    sure = np.where(lists.any(1), (scores * lists).sum(1) / (lists.sum(1) + (scores * (1 - lists)).sum(1)), 0)
    order = np.argsort(-sure, kind="stable")
    jaccard = np.array(result["values"]["jaccard"])[order]
    for level in found["levels"]:
        kept = math.ceil(round(level["coverage"] * len(sure), 9))
        assert level["num_visits"] == kept
        assert level["jaccard"] == pytest.approx(jaccard[:kept].mean(), abs=1e-12)


def test_errors_are_counted_by_drug():
    case = made_up(2, patients=40, resamples=20)
    truth, lists = matrix(case, "truth"), matrix(case, "predicted")
    found = values_of(case)["errors"][0]
    for kind, wrong, of in (("wrong", lists * (1 - truth), lists), ("missed", truth * (1 - lists), truth)):
        counts = wrong.sum(0)
        order = [d for d in np.argsort(-counts, kind="stable") if counts[d] > 0][:10]
        assert [(e["drug"], e["count"], e["of"]) for e in found[kind]] == \
            [(f"D{d}", counts[d], of.sum(0)[d]) for d in order]


def by_patient(case, differences):
    sums, counts = defaultdict(float), defaultdict(int)
    for visit, difference in zip(case["visits"], differences, strict=True):
        sums[visit["patient"]] += difference
        counts[visit["patient"]] += 1
    return np.array([sums[p] for p in sorted(sums)]), np.array([counts[p] for p in sorted(sums)])


def jaccard_differences(case):
    def of(a, b):
        return len(a & b) / len(a | b) if a and b else 0

    return [of(set(v["predicted"]), set(v["truth"])) - of(set(v["other"]), set(v["truth"]))
            for v in case["visits"]]


def test_intervals_agree_with_scipy_bootstrap():
    case = made_up(3, patients=150, resamples=20000)
    sums, counts = by_patient(case, jaccard_differences(case))
    reference = scipy.stats.bootstrap(
        (sums, counts), lambda s, c, axis: s.sum(axis) / c.sum(axis), paired=True, vectorized=True,
        n_resamples=20000, method="percentile", rng=np.random.default_rng(1)).confidence_interval
    found = values_of(case)["comparison"]
    assert found["difference"] == pytest.approx(sums.sum() / counts.sum(), abs=1e-12)
    width = reference.high - reference.low
    np.testing.assert_allclose(found["ci"], [reference.low, reference.high], rtol=0, atol=0.03 * width)


def exchanged(case, resamples):
    """scipy's test that exchanges the two policies in some patients."""
    sums, _ = by_patient(case, jaccard_differences(case))
    return scipy.stats.permutation_test(
        (sums, np.zeros_like(sums)), lambda a, b, axis: (a - b).sum(axis), permutation_type="samples",
        vectorized=True, n_resamples=resamples, rng=np.random.default_rng(2)).pvalue


@pytest.mark.parametrize("seed", range(4))
def test_p_of_few_patients_equals_scipy(seed):
    case = made_up(seed, patients=11, resamples=10)
    assert values_of(case)["comparison"]["p"] == pytest.approx(exchanged(case, np.inf), abs=1e-12)


def test_p_of_many_patients_agrees_with_scipy():
    case = made_up(6, patients=60, resamples=50000)
    expected = exchanged(case, 50000)
    assert 0.02 < expected < 0.98  # a case that tells something
    assert values_of(case)["comparison"]["p"] == pytest.approx(
        expected, abs=4 * math.sqrt(2 * expected * (1 - expected) / 50000))
