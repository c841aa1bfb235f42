// A decoding step for devices without kernels of their own here: operators of ATen over all rows,
// whose shapes and addresses are the same in every step. All that differs between two steps lies in
// one tensor that the host fills and copies over, so a recorder can repeat the step's work.
#ifndef FLAME_MODEL_KERNELS_STATIC_STEP_H_
#define FLAME_MODEL_KERNELS_STATIC_STEP_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/kernels/decode_attention.h"

namespace flame {

struct StaticShape {
  int64_t rows = 1;          // branches
  int64_t places = 1;        // trunks
  int64_t group = 1;         // rows that continue a trunk, at most
  int64_t trunk_tokens = 1;  // capacity of the trunks' cache
  int64_t own_tokens = 1;    // capacity of the rows' cache
  int64_t kv_heads = 1;
};

// Every place has `group` seats, and a row that continues its trunk takes one: the rows of a place
// are then the queries of one product with its keys. Worked example: 2 places of 2 seats, row 0 and
// 2 in place 1, row 1 in place 0: seats {1, -, 0, 2}, seat_of_row {2, 0, 3}; what an empty seat
// computes is read by no row.
class StaticStep {
 public:
  StaticStep(const StaticShape& shape, at::Device device);

  // On the host. A place has a trunk of `size` tokens from now on, and no rows.
  void SetTrunk(int64_t place, int64_t size);
  // A row continues the trunk in `place`, without tokens. Throws UsageError where all seats of the
  // place are taken.
  void Begin(int64_t row, int64_t place);
  // A row's next token. Rows that are not fed compute their last one again, to the same numbers.
  void Feed(int64_t row, int64_t token);
  // Makes all this known to the device: one copy.
  void Upload();

  // On the device, as of the last Upload: int64 [rows].
  const at::Tensor& tokens() const { return device_.tokens; }
  const at::Tensor& positions() const { return device_.positions; }  // of those, trunk included
  // What all layers share; before Attend.
  void Prepare();
  // As DecodeAttention, for row r and sequence r of `own`, over caches of KeyLayout::kRows. Scores
  // and sums are float32 where the tensors are bfloat16; weights are rounded to bfloat16.
  at::Tensor Attend(const AttentionInput& input, const KeyValueCache& trunks,
                    KeyValueCache* own) const;

 private:
  // Views of one int64 tensor.
  struct Fields {
    Fields(const StaticShape& shape, at::Device device);
    at::Tensor all;
    at::Tensor tokens, positions, own_size;  // [rows]; own_size: of the tokens before this one
    at::Tensor seat_of_row;                  // [rows], in places * group
    at::Tensor seats;                        // [places * group], a row each; 0 where empty
    at::Tensor trunk_size;                   // [places]
  };
  void LeaveSeat(int64_t row);

  StaticShape shape_;
  Fields host_, device_;
  std::vector<int64_t> row_of_seat_;  // -1: empty
  std::vector<int64_t> seat_of_row_;  // -1: none
  std::vector<int64_t> tokens_of_row_;
  at::Tensor own_begin_;                  // [rows, kv_heads]: a sequence's first row in its cache
  at::Tensor own_rows_;                   // [rows * kv_heads]: where this step's keys go
  at::Tensor trunk_hidden_, own_hidden_;  // bool [places or rows, 1, 1, capacity]
};

}  // namespace flame

#endif  // FLAME_MODEL_KERNELS_STATIC_STEP_H_
