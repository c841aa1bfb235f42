// The head's chunks: what a plan of its memory needs.
#ifndef FLAME_MODEL_HEAD_H_
#define FLAME_MODEL_HEAD_H_

#include <cstdint>

namespace flame {

// Returns how many rows have logits at the same time. At a large vocabulary they have about 16 M
// logits together. A few copies of these are much smaller than the hidden states of a long batch,
// and the head's weight is read only a few times.
int64_t HeadChunkRows(int64_t vocab_size);

}  // namespace flame

#endif  // FLAME_MODEL_HEAD_H_
