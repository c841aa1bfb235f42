"""The batch files between their stages, with stubs of Slurm's programs that only record their
arguments."""

import json
import os
import subprocess
import time

from conftest import ROOT, TINY, run

PIPELINE = ROOT / "slurm" / "pipeline.sbatch"


def time_in(seconds):
    """Returns the time in `seconds` from now, in Slurm's notation and local time."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + seconds))


def run_batch(folder, file, *arguments, end=None, seconds=0):
    """Runs the file as a job that has run for `seconds`. Returns its exit status and the calls of
    the stubs."""
    told = "" if end is None else f"   StartTime=x EndTime={time_in(end)} Deadline=N/A"
    for name in ("srun", "scontrol"):
        stub = folder / name
        stub.write_text(f'#!/bin/sh\necho {name} "$@" >>{folder}/words\n'
                        f'[ {name} = srun ] && echo "$SLURM_PMIX_FENCE" >>{folder}/fences\n'
                        f'[ "$1 $2" = "show job" ] && echo "{told}"\n'
                        '[ "$1 $2" = "show hostnames" ] && echo node1\nexit 0\n')
        stub.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "SLURM_JOB_ID": "7",
                   "SLURM_NTASKS": "2", "SLURM_NNODES": "2", "SLURM_CPUS_PER_TASK": "1",
                   "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_NTASKS_PER_NODE": "1",
                   "SECONDS": str(seconds)}
    environment.pop("SLURM_PMIX_FENCE", None)
    (folder / "words").write_text("")
    result = subprocess.run(["bash", str(file), *map(str, arguments)], capture_output=True,
                            text=True, check=False, env=environment, timeout=60)
    return result.returncode, (folder / "words").read_text().splitlines()


def both_files(folder):
    """Returns the commands of the shipped pipeline file and of one that flame launch writes."""
    written = folder / "job.sbatch"
    written.write_text(run("launch", "pipeline", "--dry-run", "--config", TINY, "--time", "30",
                           "--log-level", "debug", "--trace", f"run.dir={folder / 'run'}",
                           cwd=ROOT).stdout)
    (folder / "run" / "launch").mkdir(parents=True)
    return [(PIPELINE, TINY), (written,)]


def test_no_stage_starts_with_less_than_six_minutes_left(tmp_path):
    for words in both_files(tmp_path):
        status, said = run_batch(tmp_path, *words, end=350, seconds=400)
        steps = [line for line in said if " show " not in line]
        assert status == 75 and steps == ["scontrol requeue 7"], said


def test_stages_start_where_there_is_time_or_no_word_of_it(tmp_path):
    for words in both_files(tmp_path):
        for more in ({"end": 400, "seconds": 400}, {"seconds": 400},
                     # A job this short would be requeued for ever.
                     {"end": 200, "seconds": 10}):
            status, said = run_batch(tmp_path, *words, **more)
            assert status == 0 and sum(line.startswith("srun") for line in said) == 7, said


def test_ranks_of_several_hosts_start_behind_a_barrier(tmp_path):
    """Slurm's default is not always a barrier between hosts (docs/clusters.md)."""
    others = [(ROOT / "slurm" / name, TINY) for name in ("grpo.sbatch", "grpo-nodes.sbatch")]
    for words in both_files(tmp_path) + others:
        (tmp_path / "fences").unlink(missing_ok=True)
        run_batch(tmp_path, *words)
        assert set((tmp_path / "fences").read_text().split("\n")) == {"ring", ""}, words


def test_launched_job_logs_as_it_was_told_to(tmp_path):
    _, (written,) = both_files(tmp_path)
    text = written.read_text()
    assert text.count("--log-level debug") == 7 and text.count("--trace") == 4
    refused = run("launch", "pipeline", "--dry-run", "--json", "--config", TINY, "--time", "30",
                  check=False, cwd=ROOT)
    assert refused.returncode == 2 and "expected no --json" in refused.stderr


def test_launch_refuses_files_that_are_not_there(tmp_path):
    refused = run("launch", "pipeline", "--dry-run", "--config", TINY, "--time", "30",
                  "data.root=/nonexistent", f"run.dir={tmp_path / 'run'}", check=False, cwd=ROOT)
    assert refused.returncode == 3
    assert "data.root: '/nonexistent' is not a folder" in refused.stderr
    assert not (tmp_path / "run").exists()


def launch_with(folder, sbatch):
    stub = folder / "sbatch"
    stub.write_text("#!/bin/sh\n" + sbatch)
    stub.chmod(0o755)
    return run("launch", "pipeline", "--json", "--config", TINY, "--time", "30",
               f"run.dir={folder / 'run'}", check=False, cwd=ROOT,
               env={"PATH": f"{folder}:{os.environ['PATH']}"})


def test_number_of_the_job_is_told_apart_from_what_sbatch_says_besides(tmp_path):
    told = launch_with(tmp_path, "echo 'sbatch: info: partition set' >&2; echo '4711;cluster'\n")
    assert told.returncode == 0 and "partition set" in told.stderr
    log = tmp_path / "run" / "launch" / "job-4711.log"
    assert json.loads(told.stdout) == {"job": "4711", "log": str(log),
                                       "batch_file": str(log.with_name("job.sbatch"))}
    assert (tmp_path / "run" / "launch" / "job").read_text() == "4711\n"


def test_word_of_sbatch_that_is_no_number_is_refused(tmp_path):
    told = launch_with(tmp_path, "echo 'Submitted batch job 4711'\n")
    assert told.returncode == 4 and "printed 'Submitted batch job 4711'" in told.stderr
    assert not (tmp_path / "run" / "launch" / "job").exists()
    refused = launch_with(tmp_path, "echo no such partition >&2; exit 1\n")
    assert refused.returncode == 4 and "ended with status 1" in refused.stderr


def test_pipeline_file_refuses_roles_before_anything_is_trained(tmp_path):
    result = run("prepare", "cluster.placement=colocated", "--config", TINY,
                 f"run.dir={tmp_path / 'run'}", "cluster.learners=7", check=False, cwd=ROOT)
    assert result.returncode == 2 and "each rank does everything" in result.stderr
    _, said = run_batch(tmp_path, PIPELINE, TINY)
    stages = [line for line in said if line.startswith("srun")]
    assert len(stages) == 7 and all("cluster.placement=colocated" in line for line in stages)


def test_launch_refuses_hosts_with_uneven_learners_of_hybrid(tmp_path):
    refused = run("launch", "pipeline", "--dry-run", "--config", TINY, "--time", "30", "--nodes", 3,
                  "--gpus-per-node", 2, "cluster.learners=3", "cluster.rollouts=3",
                  "cluster.rewards=1", "cluster.sharding=hybrid", f"run.dir={tmp_path / 'run'}",
                  check=False, cwd=ROOT)
    assert refused.returncode == 2 and "hosts have from 1 to 2" in refused.stderr
