"""TensorBoard reads the event files that base/metrics.cpp writes."""

import math
import os
import subprocess

from program import built_program
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def test_resumed_run_replaces_later_steps(tmp_path):
    folder = tmp_path / "grpo"
    subprocess.run(
        [built_program("base_test"), "--gtest_filter=MetricsSink.ResumedRun_WritesLaterStepsAgain"],
        env={**os.environ, "FLAME_TEST_METRICS": str(folder)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    events = EventAccumulator(str(folder)).Reload()
    assert sorted(events.Tags()["scalars"]) == ["kl", "loss"]
    losses = [(event.step, event.value) for event in events.Scalars("loss")]
    assert losses[:-1] == [(0, 10.0), (1, 9.0), (2, 0.25)]
    assert losses[-1][0] == 300 and math.isnan(losses[-1][1])
    assert [(event.step, event.value) for event in events.Scalars("kl")] == [(300, 1.0)]
