// A decoding step for devices without kernels of our own. It runs ATen's operators over all rows,
// with the same shapes and addresses in every step. All differences between steps are in one tensor
// that the host fills and copies to the device, so a recorder can repeat the step's work.
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
  int64_t group = 1;         // most rows that continue one trunk
  int64_t trunk_tokens = 1;  // capacity of the trunks' cache
  int64_t own_tokens = 1;    // capacity of the rows' cache
  int64_t kv_heads = 1;
};

// Every place has `group` seats, and each row that continues the place's trunk takes one, so that
// all rows of a place are the queries of one product with its keys. Worked example: 2 places of 2
// seats, rows 0 and 2 in place 1, row 1 in place 0: seats {1, -, 0, 2}, seat_of_row {2, 0, 3}. No
// row reads what an empty seat computes.
class StaticStep {
 public:
  StaticStep(const StaticShape& shape, at::Device device);

  // SetTrunk, Begin, Feed and Upload run on the host. SetTrunk gives a place a trunk of `size`
  // tokens and removes its rows.
  void SetTrunk(int64_t place, int64_t size);
  // Makes a row continue the trunk in `place`, without tokens yet. Throws UsageError if all seats
  // of the place are taken.
  void Begin(int64_t row, int64_t place);
  // Sets a row's next token. Rows that are not fed compute their last token again, with the same
  // result.
  void Feed(int64_t row, int64_t token);
  // Copies all of this to the device, in one copy.
  void Upload();

  // int64 [rows] on the device, as of the last Upload.
  const at::Tensor& tokens() const { return device_.tokens; }
  const at::Tensor& positions() const { return device_.positions; }  // counting the trunk
  // Prepares what all layers share. Call before Attend.
  void Prepare();
  // Like DecodeAttention, for row r with sequence r of `own`; caches are KeyLayout::kRows. With
  // bfloat16 tensors, scores and sums are float32 and weights are rounded to bfloat16.
  at::Tensor Attend(const AttentionInput& input, const KeyValueCache& trunks,
                    KeyValueCache* own) const;

 private:
  // Views of one int64 tensor.
  struct Fields {
    Fields(const StaticShape& shape, at::Device device);
    at::Tensor all;
    at::Tensor tokens, positions, own_size;  // [rows]; own_size: tokens before this one
    at::Tensor seat_of_row;                  // [rows], index into places * group
    at::Tensor seats;                        // [places * group], each seat's row; 0 if empty
    at::Tensor trunk_size;                   // [places]
  };
  void LeaveSeat(int64_t row);

  StaticShape shape_;
  Fields host_, device_;
  std::vector<int64_t> row_of_seat_;  // -1: empty
  std::vector<int64_t> seat_of_row_;  // -1: no seat
  std::vector<int64_t> tokens_of_row_;
  at::Tensor own_begin_;                  // [rows, kv_heads]: first row of a sequence in its cache
  at::Tensor own_rows_;                   // [rows * kv_heads]: rows that receive this step's keys
  at::Tensor trunk_hidden_, own_hidden_;  // bool [places or rows, 1, 1, capacity]
};

}  // namespace flame

#endif  // FLAME_MODEL_KERNELS_STATIC_STEP_H_
