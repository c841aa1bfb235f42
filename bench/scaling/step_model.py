"""Models the seconds of one GRPO step, phase by phase, from its work and a machine's rates.

With staleness 0 a step is rollout, then learning, then sync. With more, rollout overlaps learning
and sync. docs/scaling.md says what is left out."""

import dataclasses
import heapq
import math

from rates import forward_flops, prefill_work

CANARY_TOKENS, CANARY_TARGETS = 40, 16  # rollout/weight_sync.cpp


@dataclasses.dataclass(frozen=True)
class Layout:
    """Ranks of each role. Colocated: every rank is a learner that also samples and scores."""
    learners: int
    rollouts: int = 0
    rewards: int = 0
    staleness: int = 0
    ranks_a_host: int = 1 << 30

    @property
    def colocated(self):
        return self.rollouts == 0

    @property
    def ranks(self):
        return self.learners + self.rollouts + self.rewards

    @property
    def samplers(self):
        return self.learners if self.colocated else self.rollouts

    def hosts(self, ranks):
        return math.ceil(ranks / self.ranks_a_host)

    def busy(self, ranks):
        """Returns how many of a host's ranks compute while `ranks` of all ranks do, and how many
        ranks the host has."""
        return min(ranks, self.ranks_a_host), min(self.ranks, self.ranks_a_host)


@dataclasses.dataclass(frozen=True)
class Work:
    """The work of a step, over all ranks."""
    tasks: int
    members: int
    max_tokens: int          # tokens of every member
    prompt: float            # tokens of a task's prompt
    weights: dict            # from `flame plan --json`
    learn_flops: float       # FLOPs of weights, including recomputed ones
    attention_flops: float
    busiest: float           # the busiest learner's share of both
    passes: float            # micro-batches of a learner
    collective_bytes: float  # bytes that a learner receives
    adapter_bytes: float
    most_slots: int          # branches that a rank decodes at the same time
    lines: float = 20         # scored states of a member

    @property
    def targets(self):
        """Returns the number of trained tokens."""
        return self.tasks * self.members * self.max_tokens

    @property
    def shard_bytes(self):
        """Returns bytes as measured on shards: 4 for each prompt token, 13 for each sampled token,
        and a fixed number for each group."""
        return self.tasks * (4 * self.prompt + self.members * self.max_tokens * 13 + 7000)


def work_of(plan, tasks, members, max_tokens, staleness=0):
    """Returns the work of a stage of `flame plan --json`."""
    return Work(tasks, members, max_tokens, plan["prompt_tokens"] / tasks, plan["weights"],
                plan["model_flops"] + plan["recomputed_flops"], plan["attention_flops"],
                plan["busiest_learner_tokens"] / plan["tokens"], plan["passes"],
                plan["collective_bytes"], plan["shared_bytes"] / (staleness + 2), plan["most_slots"])


def cut(tasks, ranks):
    """Returns the sizes of the parts that workers get (CutRequest in rollout/client.h)."""
    least, left, sizes = max(1, tasks // (8 * ranks)), tasks, []
    while left > 0:
        share = left if ranks == 1 else (left + 2 * ranks - 1) // (2 * ranks)
        sizes.append(min(left, max(least, share)))
        left -= sizes[-1]
    return sizes


def deal(tasks, ranks):
    """Returns the sizes of the parts of ranks that sample in step (DealRequest)."""
    return [tasks // ranks + (rank < tasks % ranks) for rank in range(min(ranks, tasks))]


def part_seconds(work, tasks, compute, rates):
    """Returns the seconds of a worker's part: prefill, decode, reward, shards."""
    p = work.prompt
    prefill = compute.prefill.seconds(*prefill_work(work.weights, tasks, p))
    slots = min(work.most_slots, tasks * work.members)
    # The first token comes from the prefill. A free slot is taken again at once.
    steps = tasks * work.members * (work.max_tokens - 1) / slots
    decode = math.ceil(steps) * compute.decode.seconds(slots, p, work.max_tokens / 2)
    reward = 2 * rates.latency + tasks * work.members * work.lines / rates.states
    shard = rates.shard_seconds + work.shard_bytes * tasks / work.tasks / rates.shard_write
    return {"prefill": prefill, "decode": decode, "reward": reward, "write shards": shard}


def rollout(work, layout, rates):
    """Returns the phases of the rank that finishes last; parts go to the next free rank."""
    ranks = layout.samplers
    compute = rates.at(*layout.busy(ranks))
    workers = [(0.0, rank, {}) for rank in range(ranks)]
    for size in deal(work.tasks, ranks) if layout.colocated else cut(work.tasks, ranks):
        _, rank, phases = heapq.heappop(workers)
        for phase, seconds in part_seconds(work, size, compute, rates).items():
            phases[phase] = phases.get(phase, 0) + seconds
        heapq.heappush(workers, (sum(phases.values()) + 2 * rates.latency, rank, phases))
    return max(workers)[2]


def learn(work, layout, rates):
    """Returns the phases of the busiest learner. Every learner reads all shards."""
    compute = rates.at(*layout.busy(layout.learners))
    arithmetic = compute.learn.seconds(work.learn_flops * work.busiest,
                                       work.attention_flops * work.busiest,
                                       work.targets * work.busiest, work.passes)
    reading = max(work.shard_bytes / rates.shard_read, layout.learners * work.shard_bytes / rates.disk)
    moving = 0.0
    if layout.learners > 1:
        across = layout.hosts(layout.learners) > 1
        bandwidth = min(rates.bandwidth, rates.host_bandwidth) if across else rates.bandwidth
        moving = work.collective_bytes / bandwidth + 2 * math.log2(layout.learners) * rates.latency
    # Gathers and reductions overlap the arithmetic of other units.
    return {"learn": arithmetic, "read shards": reading, "collectives": max(0.0, moving - arithmetic)}


def sync(work, layout, rates):
    """Returns the phases of a sync: adapters are packed once, sent to each other host and checked
    there; then both sides compute the canary."""
    compute = rates.at(*layout.busy(layout.samplers))
    one = compute.prefill.seconds(forward_flops(work.weights, CANARY_TOKENS, CANARY_TARGETS), 0,
                                  CANARY_TARGETS, 1)
    others = layout.hosts(layout.ranks) - 1
    return {"sync": work.adapter_bytes / rates.sync_bytes +
                    (0 if layout.colocated else others * work.adapter_bytes / rates.host_bandwidth),
            "canary": 2 * one}


def step(work, layout, rates):
    """Returns the seconds of a step, its phases by group, and the phase that takes the most."""
    groups = {"rollout": rollout(work, layout, rates), "learn": learn(work, layout, rates),
              "sync": sync(work, layout, rates)}
    seconds = {name: sum(phases.values()) for name, phases in groups.items()}
    ahead = layout.staleness > 0 and not layout.colocated
    trained = seconds["learn"] + seconds["sync"]
    total = max(seconds["rollout"], trained) if ahead else seconds["rollout"] + trained
    critical = dict(groups)
    if ahead:
        critical = ({"rollout": groups["rollout"]} if seconds["rollout"] >= trained else
                    {"learn": groups["learn"], "sync": groups["sync"]})
    phases = {phase: s for of in critical.values() for phase, s in of.items()}
    bottleneck = max(phases, key=phases.get)
    return {"seconds": total, "groups": seconds,
            "phases": {phase: s for of in groups.values() for phase, s in of.items()},
            "bottleneck": bottleneck, "bottleneck_share": phases[bottleneck] / total}
