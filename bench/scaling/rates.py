"""Costs of the parts of a step on a machine: fitted to micro-benchmarks, or stated for a machine
that is not at hand."""

import dataclasses
import json
import math
import statistics
import tempfile

import numpy
import scipy.optimize
from programs import BUILD, FLAME, mpirun, output, row

PREFILL_TOKENS = 4096  # rollout/completion.h


@dataclasses.dataclass(frozen=True)
class Cost:
    """Seconds per FLOP of weights, per FLOP of attention, per asked-for token (its softmax and
    loss), and per call of any size."""
    flop: float
    attention_flop: float
    target: float
    call: float

    def seconds(self, flops, attention_flops, targets, calls):
        return (flops * self.flop + attention_flops * self.attention_flop + targets * self.target +
                calls * self.call)


@dataclasses.dataclass(frozen=True)
class DecodeCost:
    """Seconds of decoding one token for every row: per step, per row, and per token of a row's
    context, in the prompt that it shares and in its own text."""
    step: float
    row: float
    prompt: float
    own: float

    def seconds(self, rows, prompt, own):
        return self.step + rows * (self.row + prompt * self.prompt + own * self.own)


@dataclasses.dataclass(frozen=True)
class Compute:
    """A rank's costs while some ranks of its host compute and the others wait for messages."""
    learn: Cost
    prefill: Cost
    decode: DecodeCost


@dataclasses.dataclass(frozen=True)
class Rates:
    compute: dict  # Compute by (ranks of a host that compute at once, its ranks)
    latency: float  # seconds of a message between two ranks
    bandwidth: float  # bytes/s that a rank receives from others of its host
    host_bandwidth: float  # bytes/s that a rank receives from other hosts
    sync_bytes: float  # bytes/s of packed adapters handed to all ranks of a host
    shard_seconds: float  # fixed seconds for writing one shard
    shard_write: float  # bytes/s
    shard_read: float  # bytes/s that a rank reads and unpacks
    disk: float  # bytes/s that all ranks together read from the common disk
    states: float  # states that a reward rank scores a second

    def at(self, busy, ranks):
        """Returns the Compute of a rank while `busy` ranks compute on a host of `ranks`. If there
        is only one Compute, because ranks share no processor (a GPU each), returns that."""
        if len(self.compute) == 1:
            return next(iter(self.compute.values()))
        return self.compute[busy, ranks]


def forward_flops(weights, tokens, targets):
    return (2 * (weights["frozen"] + weights["trainable"]) * tokens +
            2 * weights["head"] * targets)


def learn_flops(weights, tokens, targets):
    """Returns the FLOPs of a GRPO learner with a KL term: forward and backward, and the reference's
    forward (launch/plan/estimate.cpp)."""
    return (tokens * (4 * weights["frozen"] + 6 * weights["trainable"]) +
            targets * 4 * weights["head"] + forward_flops(weights, tokens, targets))


def fit(rows, seconds):
    """Returns the factors, none negative, that minimise the squares of the relative errors, and the
    largest relative error."""
    rows, seconds = numpy.array(rows, float), numpy.array(seconds, float)
    scale = numpy.maximum(numpy.abs(rows).max(axis=0), 1e-300)
    factors, _ = scipy.optimize.nnls(rows / scale / seconds[:, None], numpy.ones(len(seconds)))
    worst = numpy.abs(rows / scale @ factors / seconds - 1).max()
    return [float(f) for f in factors / scale], float(worst)


def prefill_work(weights, prompts, tokens):
    """Returns the arguments of Cost.seconds for `prompts` prompts of `tokens` tokens each."""
    return (forward_flops(weights, prompts * tokens, prompts),
            4 * weights["attention"] * prompts * tokens * (tokens + 1) / 2, prompts,
            math.ceil(prompts * tokens / PREFILL_TOKENS))


def completion_row(weights, point):
    """Returns what the factors are multiplied by: those of prefill (no cost per target), then those
    of decoding."""
    flops, attention_flops, _, calls = prefill_work(weights, point["prompts"], point["trunk"])
    # The first token comes from the prefill.
    steps = point["tokens"] - 1
    tokens = steps * point["prompts"] * point["members"]
    return [flops, attention_flops, calls, steps, tokens, tokens * point["trunk"],
            tokens * point["tokens"] / 2]


def compute_from(bench):
    """Returns the Compute that fits build/bench/rates_bench's output, and each fit's worst relative
    error."""
    weights = bench["weights"]
    learn, learn_error = fit(
        [[learn_flops(weights, p["tokens"], p["targets"]), 14 * weights["attention"] * p["pairs"],
          p["targets"], 1] for p in bench["learn"]], [p["seconds"] for p in bench["learn"]])
    complete, complete_error = fit([completion_row(weights, p) for p in bench["complete"]],
                                   [p["seconds"] for p in bench["complete"]])
    flop, attention_flop, call, *decode = complete
    return (Compute(Cost(*learn), Cost(flop, attention_flop, 0, call), DecodeCost(*decode)),
            {"learn": learn_error, "complete": complete_error})


def disk_rates():
    """Returns the rates of shards and of the disk. A shard's fixed cost is the time that the parts
    of an 8B step take beyond the time for their bytes."""
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        bench = row(output([BUILD / "bench" / "trajectory_bench", folder]))
    write, parts = bench["write_mb_per_second"] * 1e6, bench["step_at_8b"]
    fixed = (parts["write_seconds"] - parts["megabytes"] * 1e6 / write) / parts["shards"]
    return {"shard_seconds": max(fixed, 0.0), "shard_write": write,
            "shard_read": bench["read_mb_per_second"] * 1e6,
            "disk": bench["plain_read_mb_per_second"] * 1e6}


def measure_compute(busy, ranks):
    """Returns build/bench/rates_bench's output for `busy` of `ranks` ranks computing at once."""
    bench = BUILD / "bench" / "rates_bench"
    # Like the run itself: mpirun binds each rank to a core; a single process is not bound.
    return row(output([bench]) if ranks == 1 else mpirun(ranks, bench, busy))


def mean_compute(benches):
    """Returns the Compute of the mean of several measurements of the same points."""
    mean = dict(benches[0])
    for part in ("learn", "complete"):
        mean[part] = [{**same[0], "seconds": statistics.fmean(p["seconds"] for p in same)}
                      for same in zip(*(bench[part] for bench in benches))]
    return compute_from(mean)


def measure_rest():
    """Returns the fields of Rates that are not arithmetic, and the results they were made from."""
    with tempfile.TemporaryDirectory() as folder:
        doctor = mpirun(2, FLAME, "doctor", "--json", "data.hospital=synth", f"run.dir={folder}")
    link = json.loads(doctor)["links"][0]
    sync = row(mpirun(3, BUILD / "bench" / "sync_bench"))
    service = row(mpirun(2, BUILD / "bench" / "reward_service_bench"))
    rest = {"latency": link["latency_seconds"], "bandwidth": link["bytes_per_second"],
            "host_bandwidth": link["bytes_per_second"],
            "sync_bytes": sync["megabytes"] * 1e6 / sync["seconds"],
            "states": service["states_per_second"], **disk_rates()}
    return rest, {"doctor_link": link, "sync_bench": sync, "reward_service_bench": service}


def stated(gpu, weights, cache_bytes, hosts, item_bytes=2):
    """Returns a GPU's Rates from its data sheet's figures and the efficiencies assumed for them
    (bench/scaling/h100.json), for a policy with these weights and `cache_bytes` of keys and values
    for each token. The work of the hosts' processors is as measured."""
    flop = 1 / (gpu["flops"] * gpu["learn_efficiency"])
    forward = 1 / (gpu["flops"] * gpu["prefill_efficiency"])
    memory = gpu["memory_bytes_per_second"] * gpu["memory_efficiency"]
    whole = weights["frozen"] + weights["trainable"] + weights["head"]
    # All rows share one reading of the weights. A row adds its arithmetic and the choice of its
    # token on the host; a token of context adds the reading of its key and value.
    decode = DecodeCost(whole * item_bytes / memory + gpu["decode_step_seconds"],
                        2 * whole * forward + gpu["choose_seconds"], cache_bytes / memory,
                        cache_bytes / memory)
    compute = Compute(Cost(flop, flop, 0, gpu["pass_seconds"]),
                      Cost(forward, forward, 0, gpu["pass_seconds"]), decode)
    own = {name: gpu[name] for name in ("latency", "bandwidth", "host_bandwidth", "disk")}
    return Rates({(1, 1): compute}, **{**hosts, **own})
