#include "rollout/protocol.h"

namespace flame {

void Write(const RolloutRequest& request, WireWriter* out) {
  out->Pod(request.step);
  out->Pod(request.policy_version);
  out->Pod(request.part);
  out->Vector(request.task_ids);
  out->Vector(request.tasks);
}

RolloutRequest ReadRolloutRequest(WireReader* in) {
  RolloutRequest request;
  request.step = in->Pod<int64_t>();
  request.policy_version = in->Pod<int64_t>();
  request.part = in->Pod<int64_t>();
  request.task_ids = in->Vector<int64_t>();
  request.tasks = in->Vector<int32_t>();
  return request;
}

void Write(const RolloutReply& reply, WireWriter* out) {
  out->Text(reply.shard.string());
  out->Text(reply.bytes);
  out->Pod(reply.rank);
  out->Pod(reply.tokens_sampled);
  out->Pod(reply.seconds_rollout);
  out->Pod(reply.seconds_reward);
  out->Pod(reply.seconds_idle);
  out->Pod(reply.reused);
  out->Pod(reply.reward_retries);
  out->Pod<uint64_t>(reply.unmatched.size());
  for (const auto& [text, count] : reply.unmatched) {
    out->Text(text);
    out->Pod(count);
  }
}

RolloutReply ReadRolloutReply(WireReader* in) {
  RolloutReply reply;
  reply.shard = in->Text();
  reply.bytes = in->Text();
  reply.rank = in->Pod<int>();
  reply.tokens_sampled = in->Pod<int64_t>();
  reply.seconds_rollout = in->Pod<double>();
  reply.seconds_reward = in->Pod<double>();
  reply.seconds_idle = in->Pod<double>();
  reply.reused = in->Pod<bool>();
  reply.reward_retries = in->Pod<int64_t>();
  const auto unmatched = in->Pod<uint64_t>();
  for (uint64_t i = 0; i < unmatched; ++i) {
    const std::string text = in->Text();
    reply.unmatched[text] = in->Pod<int64_t>();
  }
  return reply;
}

}  // namespace flame
