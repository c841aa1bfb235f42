#!/usr/bin/env python3
"""Compares a model of one GRPO step with real runs of 1, 2 and 4 ranks, and predicts steps on 8, 64
and 512 GPUs, as JSON:
    ninja -C build flame rates_bench sync_bench trajectory_bench reward_service_bench
    bench/scaling/scaling.py > bench/results/scaling.json
    bench/scaling/scaling.py --gpu my-gpu.json --extrapolate bench/results/scaling.json
The second form measures nothing: it takes the rates of hosts from an earlier result. Needs numpy
and scipy, MPI, and a machine that nobody else uses. FLAME_BUILD names the build folder (default:
build)."""

import argparse
import json
import pathlib
import sys
import tempfile

import runs
from programs import FLAME, output
from rates import measure_rest, stated
from step_model import Layout, step, work_of

HERE = pathlib.Path(__file__).resolve().parent
REPEATS = 6
MEMBERS, MAX_TOKENS = 8, 512
# A step of 64 tasks is the authors' (32 x 2); that of 8 tasks a GPU grows with the machines.
STEPS = {"64 tasks": lambda gpus: 64, "8 tasks a GPU": lambda gpus: 8 * gpus}
GPUS = (8, 64, 512)
CACHE_BYTES_OF_TOKEN = 32 * 8 * 128 * 2 * 2  # 8B: layers, key heads, width, key and value, bfloat16


def plan_8b(tasks, gpus, keys):
    """Returns the plan of a step: a LoRA of rank 32 on all maps of an 8B policy in bfloat16.
    Prompts are as long as `flame plan` assumes if no run has prepared any."""
    text = output([FLAME, "plan", "--json", "--gpus", gpus, "--stage", "grpo", "--flops", "1e14",
                   "--bandwidth", "1GB", "data.hospital=synth", "run.dir=no-such-run",
                   "encoders.drug=none", f"model.path={HERE / 'llama-8b'}", "model.dtype=bfloat16",
                   "model.device=cuda", "grpo.lora.rank=32",
                   "grpo.lora.targets=[q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj]",
                   f"grpo.tasks={tasks}", f"grpo.group_size={MEMBERS}",
                   f"grpo.max_tokens={MAX_TOKENS}", *keys])
    return json.loads(text)["stages"][0]


def layouts(gpus, ranks_a_host):
    """Yields ways to use the GPUs. Each host also has a reward rank, which needs no GPU."""
    yield "colocated", Layout(gpus, ranks_a_host=ranks_a_host), ["cluster.placement=colocated"]
    for eighths in (2, 4, 6):
        learners = gpus * eighths // 8
        for staleness in (0, 1):
            layout = Layout(learners, gpus - learners, max(1, gpus // ranks_a_host), staleness,
                            ranks_a_host)
            keys = [*runs.split(layout.learners, layout.rollouts, layout.rewards),
                    f"grpo.staleness={staleness}"]
            yield f"{learners} learners, {layout.rollouts} rollouts, staleness {staleness}", layout, keys


def best(gpus, tasks, machine, hosts):
    """Returns the fastest layout that is strictly on-policy, and the fastest that is not."""
    found = {}
    for name, layout, keys in layouts(gpus, machine["gpus_a_host"]):
        plan = plan_8b(tasks, layout.ranks, keys)
        work = work_of(plan, tasks, MEMBERS, MAX_TOKENS, layout.staleness)
        said = step(work, layout, stated(machine, plan["weights"], CACHE_BYTES_OF_TOKEN, hosts))
        kind = "on-policy" if layout.staleness == 0 else "one version behind"
        if kind not in found or said["seconds"] < found[kind]["seconds"]:
            found[kind] = {"layout": name, "tasks_per_second": tasks / said["seconds"], **said}
    return found


def extrapolate(machine, hosts):
    rows = []
    for name, tasks_of in STEPS.items():
        for gpus in GPUS:
            for kind, said in best(gpus, tasks_of(gpus), machine, hosts).items():
                rows.append({"gpus": gpus, "step": name, "kind": kind, **said})
    first = {(r["step"], r["kind"]): r for r in rows if r["gpus"] == GPUS[0]}
    for r in rows:
        base = first[r["step"], r["kind"]]
        r["efficiency"] = (r["tasks_per_second"] / base["tasks_per_second"]) / (r["gpus"] / GPUS[0])
    return rows


def say(text):
    print(text, file=sys.stderr, flush=True)


def check():
    rest, benches = measure_rest()
    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder) / "run"
        runs.prepare(run)
        rows = []
        for case in runs.CASES:
            rows.append(runs.compare(run, case, rest, REPEATS))
            say("{case}, {step}: measured {measured[step]:.3f} s, model {model[step]:.3f} s, "
                "{error:+.1%}".format(**rows[-1]))
    return {"hosts": rest, "benches": benches, "check": rows,
            "largest_error": max(abs(r["error"]) for r in rows)}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpu", default=HERE / "h100.json", type=pathlib.Path,
                        help="figures of a GPU and its links (default: %(default)s)")
    parser.add_argument("--extrapolate", type=pathlib.Path, metavar="RESULT",
                        help="take measured rates from here and run nothing but flame plan")
    options = parser.parse_args()
    machine = json.loads(options.gpu.read_text())
    result = json.loads(options.extrapolate.read_text()) if options.extrapolate else check()
    result["gpu"] = machine
    result["extrapolation"] = extrapolate(machine, result["hosts"])
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
