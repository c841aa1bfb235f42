#!/usr/bin/env python3
"""Measures every rank's memory while 10,000 list tasks of 8 members each go through 2 rollout
ranks, a reward rank and a learner (the tiny model), as JSON:
    bench/load.py [FOLDER] > bench/results/load.json
The run is kept in FOLDER; without FOLDER it is deleted afterwards. FLAME_BINARY names the program
(default: build/flame). Needs h5py, to count the members in the shards."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import h5py

ROOT = pathlib.Path(__file__).resolve().parents[1]
FLAME = pathlib.Path(os.environ.get("FLAME_BINARY", ROOT / "build" / "flame")).resolve()
STEPS, TASKS, MEMBERS = 500, 20, 8
ROLES = ["learner", "rollout", "rollout", "reward"]
KEYS = ["--config", str(ROOT / "tests" / "system" / "tiny.yaml"), "data.synth_patients=2000",
        "tasks.per_visit=8", "grpo.constrain=drugs"]
SPLIT = ["cluster.learners=1", "cluster.rollouts=2", "cluster.rewards=1", f"grpo.steps={STEPS}",
         f"grpo.tasks={TASKS}", f"grpo.group_size={MEMBERS}", "grpo.checkpoint_every=50"]


def prepare(folder):
    for command in ("prepare", "sft classifier", "tasks", "sft list"):
        subprocess.run([FLAME, *command.split(), *KEYS, f"run.dir={folder}"], check=True,
                       stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})


def start(folder):
    """Starts the job. Returns it and the ranks' process ids, in order of rank."""
    job = subprocess.Popen(["mpirun", "--allow-run-as-root", "--oversubscribe", "-np", "4",
                            "--mca", "mpi_yield_when_idle", "1", "--mca", "btl", "self,vader",
                            str(FLAME), "grpo", *KEYS, f"run.dir={folder}", *SPLIT])
    pids = {}
    while len(pids) < len(ROLES) and job.poll() is None:
        time.sleep(0.1)
        for pid in map(int, subprocess.run(["pgrep", "-P", str(job.pid)], capture_output=True,
                                           text=True, check=False).stdout.split()):
            environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            for item in environment:
                if item.startswith(b"OMPI_COMM_WORLD_RANK="):
                    pids[int(item.split(b"=")[1])] = pid
    return job, [pids[rank] for rank in sorted(pids)]


def megabytes(pid):
    """Returns a process's resident memory in megabytes: anonymous, of files, shared."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return [int(status.split(f"{name}:")[1].split()[0]) / 1024
            for name in ("RssAnon", "RssFile", "RssShmem")]


def metrics(folder):
    path = folder / "grpo" / "metrics.jsonl"
    return [json.loads(line) for line in path.open()] if path.exists() else []


def steps_done(folder):
    path = folder / "grpo" / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def watch(folder, job, pids):
    """Returns one row a second: steps done so far, and the megabytes of every rank."""
    rows = []
    while job.poll() is None:
        try:
            rows.append((steps_done(folder), [megabytes(pid) for pid in pids]))
        except (OSError, IndexError):  # a rank has ended
            break
        time.sleep(1)
    if job.wait() != 0:
        sys.exit(f"bench/load.py: flame grpo ended with {job.returncode}")
    return rows


def growth(points):
    """Returns the slope of the least-squares line, in megabytes per 1,000 tasks."""
    xs, ys = [x * TASKS / 1000 for x, _ in points], [y for _, y in points]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    return (sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys)) /
            sum((x - x_mean) ** 2 for x in xs))


def report(rows):
    ranks = []
    for rank, role in enumerate(ROLES):
        points = [(step, sum(memory[rank])) for step, memory in rows if step > 0]
        tenths = [next(mb for step, mb in points if step >= STEPS * tenth / 10)
                  for tenth in range(1, 10)]
        ranks.append({
            "rank": rank, "role": role, "most_mb": round(max(mb for _, mb in points), 1),
            "mb_at_tenths": [round(mb, 1) for mb in tenths],
            "own_files_shared_mb_at_end": [round(mb, 1) for mb in rows[-1][1][rank]],
            "mb_per_1000_tasks_after_a_fifth": round(growth([p for p in points
                                                             if p[0] >= STEPS / 5]), 3)})
    return ranks


def members(folder):
    """Returns (task id, member) of every trajectory in the shards."""
    found = []
    for path in (folder / "grpo" / "rollouts").glob("step-*.h5"):
        with h5py.File(path) as shard:
            group = shard["trajectories"]
            found += zip(group["task_id"][:].tolist(), group["member"][:].tolist())
    return found


def measure(folder):
    prepare(folder)
    begun = time.monotonic()
    rows = watch(folder, *start(folder))
    seconds = time.monotonic() - begun
    found = members(folder)
    print(json.dumps({"what": f"{STEPS * TASKS} tasks of {MEMBERS} members", "steps": STEPS,
                      "seconds": round(seconds), "trajectories": len(found),
                      "different_trajectories": len(set(found)),
                      "sample_mismatch_max": max(row["sample_mismatch_max"]
                                                 for row in metrics(folder)),
                      "ranks": report(rows)}))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(pathlib.Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory(prefix="flame-load-") as scratch:
            measure(pathlib.Path(scratch) / "run")
