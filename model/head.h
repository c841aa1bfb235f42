// The head's chunks: what a plan of its memory needs.
#ifndef FLAME_MODEL_HEAD_H_
#define FLAME_MODEL_HEAD_H_

#include <cstdint>

namespace flame {

// Returns how many rows have logits at the same time: about 16 M logits at a large vocabulary, so
// that a few copies of them stay far smaller than the hidden states of a long batch, and the weight
// is rarely read again.
int64_t HeadChunkRows(int64_t vocab_size);

}  // namespace flame

#endif  // FLAME_MODEL_HEAD_H_
