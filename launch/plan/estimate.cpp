#include "launch/plan/estimate.h"

#include <filesystem>

#include "base/error.h"
#include "comm/roles.h"
#include "data/corpus.h"
#include "launch/config/run_paths.h"
#include "launch/run/base_model.h"
#include "model/files/policy_config.h"
#include "model/kernels/decode_attention.h"
#include "model/shapes.h"
#include "rollout/completion.h"

namespace flame {
namespace {

int64_t ItemBytes(const std::string& dtype) {
  return static_cast<int64_t>(c10::elementSize(DtypeOf(dtype)));
}

// Counts the corpus's entities. Without a corpus, assumes the numbers of MIMIC-III.
EntityCounts PlannedEntities(const Config& config) {
  const auto path = RunPaths(config.run.dir).corpus();
  if (!std::filesystem::exists(path)) return {2000, 700, config.data.top_drugs, 15000};
  return CountsOfEntities(ReadCorpus(path));
}

std::vector<PlannedSlots> SlotsOf(const Config& config, int64_t d_model) {
  std::vector<PlannedSlots> slots;
  for (const SlotShape& s : SlotShapes(config, PlannedEntities(config), d_model)) {
    slots.push_back({s.count, s.dim, s.hidden, s.of_visits()});
  }
  return slots;
}

PlannedModel ModelOf(const Config& config, const std::string& stage) {
  PlannedModel model;
  model.config = config.model.path.empty()
                     ? PolicyPreset(config.model.preset, config.model.vocab_size)
                     : ReadPolicyConfig(config.model.path / "config.json");
  model.item_bytes = ItemBytes(config.model.dtype);
  model.quantization = QuantizationOf(config.model.quantize);
  model.slots = SlotsOf(config, model.config.d_model);
  if (stage != "grpo") {
    model.full = config.model.trainable == "full";
    model.has_adapters = !model.full;
    model.lora = config.model.lora;
    return model;
  }
  // In GRPO, slots of codes and drugs are rows of the table, and the head is a tensor of its own.
  for (const PlannedSlots& s : model.slots) {
    if (s.borrowed) continue;
    model.config.vocab_size += s.count;
    model.config.tie_embeddings = false;
  }
  std::erase_if(model.slots, [](const PlannedSlots& s) { return !s.borrowed; });
  model.adapters_only = true;
  model.lora = config.grpo.lora;
  return model;
}

TrainingShape ShapeFor(const Config& config, const std::string& stage, const StageWork& work) {
  TrainingShape shape;
  shape.pass = work.largest;
  shape.recompute = config.model.recompute;
  const SftOptions& sft = stage == "list" ? config.list : config.classifier;
  if (stage == "grpo") {
    shape.dropout = config.grpo.lora.dropout > 0;
  } else {
    shape.dropout = config.model.trainable == "lora" && config.model.lora.dropout > 0;
    shape.best_weights = sft.validate_every > 0;
  }
  // The copy being written may still be held while the next steps run.
  const int64_t every = stage == "grpo" ? config.grpo.checkpoint_every : sft.checkpoint_every;
  shape.checkpoint = work.steps == 0 || work.steps > every;
  return shape;
}

// Returns the bytes of the keys and values of shape.places trunks and shape.slots branches.
int64_t CacheBytes(const PlannedModel& model, const DecoderShape& shape, bool on_cpu) {
  const KeyLayout layout = on_cpu ? KeyLayout::kBlocks : KeyLayout::kRows;
  const auto numbers = [&](int64_t count, int64_t tokens) {
    return KeyValueNumbers(count, model.config.num_kv_heads, tokens, model.config.head_dim, layout);
  };
  return model.config.num_layers * model.item_bytes *
         (numbers(shape.places, shape.trunk_tokens) + numbers(shape.slots, shape.max_tokens));
}

DecoderShape DecoderOf(const Config& config, const PlannedModel& model, const StageWork& work,
                       int64_t prompts) {
  return CompletionShape(model.config, model.item_bytes, prompts, work.longest_prompt,
                         config.grpo.sampling.group_size, config.grpo.sampling.max_tokens);
}

// Returns the bytes that a rollout rank reads in a step: all weights once per token position, for
// each batch of branches that fills the slots.
double DecodeBytes(const Config& config, const PlannedModel& model, const StageWork& work,
                   const Resident& weights) {
  const DecoderShape shape = DecoderOf(config, model, work, work.prompts);
  const int64_t branches = work.prompts * config.grpo.sampling.group_size;
  const int64_t waves = (branches + shape.slots - 1) / shape.slots;
  return static_cast<double>(waves * config.grpo.sampling.max_tokens) *
         static_cast<double>(weights.frozen + weights.trainable);
}

// Walks a decoder beside the resident weights: its cache, a block of the prefill, and the logits of
// all rows in the policy's type and in float32.
void WalkRollout(const Config& config, const PlannedModel& model, const StageWork& work,
                 Ledger* ledger) {
  const DecoderShape shape = DecoderOf(config, model, work, work.prompts);
  auto cache = ledger->Take(Part::kCache, CacheBytes(model, shape, config.model.device == "cpu"));
  const int64_t v = model.config.vocab_size;
  const int64_t narrow = model.item_bytes == 4 ? 0 : model.item_bytes;
  // The logits after each prompt stay until all its members have begun.
  auto first = ledger->Take(Part::kHead, shape.places * v * 4);
  PassShape pass;
  pass.tokens = work.prefill_tokens;
  pass.asked = pass.tokens / work.longest_prompt;
  pass.family_queries = pass.family_trunk = work.longest_prompt;
  {
    auto input =
        ledger->Take(Part::kActivations, 2 * pass.tokens * model.config.d_model * model.item_bytes);
    WalkBlockForward(model, pass, /*last=*/false, /*keep=*/false, /*dropout=*/false, ledger);
  }
  ledger->Touch(Part::kHead, shape.slots * v * (4 + narrow));
}

RolePlan Finish(const std::string& role, int64_t ranks, const Ledger& ledger) {
  return {role, ranks, ledger.peak(), ledger.at_peak()};
}

struct Counts {
  int64_t learners = 1, rollouts = 1, rewards = 1;
  bool alone = true;
};

Counts CountsOf(const Config& config, const std::string& stage, int64_t ranks) {
  if (ranks == 1) return {};
  if (stage != "grpo") return {ranks, 0, 0, false};
  if (config.cluster.placement == "colocated") return {ranks, ranks, ranks, true};
  const ClusterOptions& c = config.cluster;
  const RankMesh mesh = AssignRoles(static_cast<int>(ranks), 0, static_cast<int>(c.learners),
                                    static_cast<int>(c.rollouts), static_cast<int>(c.rewards));
  if (mesh.rollout_ranks.empty() || mesh.reward_ranks.empty()) {
    throw UsageError("grpo on ", ranks, " ranks has ", mesh.rollout_ranks.size(), " rollout and ",
                     mesh.reward_ranks.size(), " reward ranks; expected at least one of each");
  }
  return {static_cast<int64_t>(mesh.learner_ranks.size()),
          static_cast<int64_t>(mesh.rollout_ranks.size()),
          static_cast<int64_t>(mesh.reward_ranks.size()), false};
}

void PlanRoles(const Config& config, const PlannedModel& model, const Counts& counts,
               StagePlan* plan) {
  PlannedLearners learners{config.cluster.sharding, counts.learners};
  if (plan->stage == "grpo") learners.kept_versions = config.grpo.staleness;
  Ledger ledger;
  WalkUpdate(model, learners, ShapeFor(config, plan->stage, plan->work), &ledger);
  const bool grpo = plan->stage == "grpo";
  if (grpo && counts.alone) {
    const Resident all = ResidentOf(model, learners);
    auto frozen = ledger.Take(Part::kFrozen, all.frozen);
    auto trainable = ledger.Take(Part::kTrainable, all.trainable);
    auto gradients = ledger.Take(Part::kGradients, all.gradients);
    auto optimizer = ledger.Take(Part::kOptimizer, all.optimizer + all.versions);
    plan->decode_bytes = DecodeBytes(config, model, plan->work, all);
    WalkRollout(config, model, plan->work, &ledger);
  }
  plan->roles.push_back(Finish(counts.alone && grpo ? "all" : "learner", counts.learners, ledger));
  if (!grpo) return;
  // As many prompts as fill every slot.
  constexpr int64_t kManyPrompts = int64_t{1} << 20;
  plan->most_slots = DecoderOf(config, model, plan->work, kManyPrompts).slots;
  const Resident whole = ResidentOf(model, PlannedLearners{});
  plan->shared_bytes = (learners.kept_versions + 2) * whole.trainable;
  if (counts.alone) return;
  Ledger rollout, reward;
  plan->decode_bytes = DecodeBytes(config, model, plan->work, whole);
  {
    // On the CPU, adapters are used in the memory that ranks share; a GPU has a copy of its own.
    const int64_t own = config.model.device == "cpu" ? 0 : whole.trainable;
    auto weights = rollout.Take(Part::kFrozen, whole.frozen + own);
    WalkRollout(config, model, plan->work, &rollout);
  }
  plan->roles.push_back(Finish("rollout", counts.rollouts, rollout));
  plan->roles.push_back(Finish("reward", counts.rewards, reward));
}

MultipliedWeights MultipliedOf(const PlannedModel& model) {
  PlannedModel plain = model;
  plain.quantization = Quantization::kNone;
  MultipliedWeights m;
  for (const PlannedUnit& unit : UnitsOf(plain)) {
    if (unit.index < 1 || unit.index > model.config.num_layers) continue;
    m.frozen += static_cast<double>(Elements(unit.frozen));
    m.trainable += static_cast<double>(Elements(unit.trainable));
  }
  m.head = static_cast<double>(model.config.vocab_size * model.config.d_model);
  m.head_trained = model.full;
  m.attention =
      static_cast<double>(model.config.num_heads * model.config.head_dim * model.config.num_layers);
  return m;
}

// Plans the FLOPs. For each weight and token, a forward takes 2; a backward takes 2 for the input's
// gradient and, if the weight is trained, 2 for its own: 4 N frozen, 6 N trained. A pair of a query
// and a key takes 4 h in a layer's forward and 2.5 times that in its backward.
void PlanFlops(const Config& config, const PlannedModel& model, StagePlan* plan) {
  const StageWork& work = plan->work;
  const MultipliedWeights m = plan->weights = MultipliedOf(model);
  const bool grpo = plan->stage == "grpo";
  const auto times = static_cast<double>(grpo ? config.grpo.iterations : 1);
  const double forward = 2 * (m.frozen + m.trainable) * work.tokens + 2 * m.head * work.targets;
  plan->model_flops = times * (work.tokens * (4 * m.frozen + 6 * m.trainable) +
                               work.targets * (m.head_trained ? 6 : 4) * m.head);
  plan->attention_flops = times * 14 * m.attention * work.pairs;
  if (config.model.recompute) {
    plan->recomputed_flops =
        times * (2 * (m.frozen + m.trainable) * work.tokens + 4 * m.attention * work.pairs);
  }
  if (!grpo) return;
  if (config.grpo.kl > 0) plan->model_flops += forward;  // forward of the reference policy
  plan->rollout_flops = 2 * (m.frozen + m.trainable) * (work.prompt_tokens + work.sampled_tokens) +
                        2 * m.head * work.sampled_tokens;
}

// Plans the bytes that a learner receives in a step. A gather or reduction of b bytes over n ranks
// brings (n - 1) / n b, an all-reduce twice that. Split units are gathered for the forward and the
// backward of each pass (a tied table three times) and reduced after it. In GRPO they are also
// gathered for the forwards of the reference and the canary, and trainable ones for the sync.
void PlanBytes(const Config& config, const PlannedModel& model, int64_t learners, StagePlan* plan) {
  const PlannedLearners group{config.cluster.sharding, learners};
  const auto share = [](int64_t n) { return static_cast<double>(n - 1) / static_cast<double>(n); };
  const int64_t n = group.shard_size(), replicas = learners / n;
  const bool reshard = config.cluster.sharding.reshard;
  for (const PlannedUnit& unit : UnitsOf(model)) {
    const auto trainable = static_cast<double>(Elements(unit.trainable) * model.wide_bytes());
    const auto frozen = static_cast<double>(Elements(unit.frozen) * model.item_bytes);
    if (!group.splits() || unit.index < 0) {
      plan->collective_bytes += 2 * share(learners) * trainable;
      continue;
    }
    const double gathers = unit.index > 0 ? 2 : model.config.tie_embeddings ? 3 : 1;
    plan->collective_bytes +=
        share(n) * plan->work.passes * (gathers * (trainable + (reshard ? frozen : 0)) + trainable);
    plan->collective_bytes += 2 * share(replicas) * trainable / static_cast<double>(n);
  }
  if (plan->stage != "grpo") return;
  plan->collective_bytes *= static_cast<double>(config.grpo.iterations);
  if (!group.splits()) return;
  const double forwards = 1 + (config.grpo.kl > 0 ? plan->work.passes : 0);
  for (const PlannedUnit& unit : UnitsOf(model)) {
    if (unit.index < 0) continue;
    const auto trainable = static_cast<double>(Elements(unit.trainable) * model.wide_bytes());
    const auto frozen = static_cast<double>(Elements(unit.frozen) * model.item_bytes);
    const double gathers = unit.index > 0 || !model.config.tie_embeddings ? 1 : 2;
    plan->collective_bytes +=
        share(n) * (forwards * gathers * (trainable + (reshard ? frozen : 0)) + trainable);
  }
}

// Plans the seconds. A decoding step reads all weights, whatever the number of its rows; it takes
// the longer of the reading and the arithmetic.
void PlanSeconds(const Counts& counts, const Speed& speed, StagePlan* plan) {
  const auto learners = static_cast<double>(counts.learners);
  const auto rollouts = static_cast<double>(std::max<int64_t>(counts.rollouts, 1));
  const double learn = plan->model_flops + plan->attention_flops + plan->recomputed_flops;
  plan->seconds_learn = learn / (speed.flops * learners);
  plan->seconds_communicate = plan->collective_bytes / speed.bandwidth;
  plan->seconds_rollout = plan->rollout_flops / (speed.flops * rollouts);
  if (speed.memory > 0) {
    plan->seconds_rollout = std::max(plan->seconds_rollout, plan->decode_bytes / speed.memory);
  }
}

}  // namespace

StagePlan PlanStage(const Config& given, const std::string& stage, const Machines& machines,
                    const Speed& speed) {
  Config config = given;
  ShardingOptions& sharding = config.cluster.sharding;
  if (sharding.policy == Sharding::kHybrid && sharding.group == 0)
    sharding.group = machines.ranks_a_node;
  // On the CPU, the planned memory is the host's, so offloading to the host changes nothing.
  if (config.model.device == "cpu") sharding.offload_optimizer = false;
  const Counts counts = CountsOf(config, stage, machines.ranks);
  const int64_t group = given.cluster.sharding.group;
  if (sharding.policy == Sharding::kHybrid && group > 0 && counts.learners % group != 0) {
    throw UsageError("cluster.shard_group is ", group, "; expected a divisor of the ",
                     counts.learners, " learners of ", stage);
  }
  const int64_t a_host = machines.ranks_a_node, last = counts.learners % a_host;
  if (sharding.policy == Sharding::kHybrid && group == 0 && counts.learners > a_host && last != 0) {
    throw UsageError("cluster.sharding is hybrid, and of the ", counts.learners, " learners of ",
                     stage, " hosts have from ", last, " to ", a_host,
                     "; expected the same number on each, or a cluster.shard_group");
  }
  const PlannedModel model = ModelOf(config, stage);
  StagePlan plan;
  plan.stage = stage;
  plan.work = WorkOf(config, stage, counts.learners, counts.rollouts);
  PlanRoles(config, model, counts, &plan);
  PlanFlops(config, model, &plan);
  PlanBytes(config, model, counts.learners, &plan);
  PlanSeconds(counts, speed, &plan);
  return plan;
}

}  // namespace flame
