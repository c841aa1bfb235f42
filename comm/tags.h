// The tags of messages between ranks, each used by one kind of message.
#ifndef FLAME_COMM_TAGS_H_
#define FLAME_COMM_TAGS_H_

namespace flame {

enum MessageTag {
  kRewardRequestTag = 301,  // rollout to reward rank: a group to score
  kRewardReplyTag = 302,    // and back: its verdicts

  kRolloutRequestTag = 401,  // learner 0 to rollout rank: a part of a step
  kRolloutReplyTag = 402,    // and back: where its shard lies
  kAdaptersTag = 403,        // learner 0 to rollout rank: the bytes of new adapters
  kShardTag = 404,           // colocated rank to learner 0: the bytes of a shard

  kDoctorAskTag = 501,     // rank 0 to each rank: what to try
  kDoctorAnswerTag = 502,  // and back: what was found
  kDoctorPingTag = 503,    // between pairs of ranks: bytes whose speed is measured
};

}  // namespace flame

#endif  // FLAME_COMM_TAGS_H_
