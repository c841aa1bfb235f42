#include "model/kernels/static_step.h"

#include <ATen/Context.h>
#include <ATen/OpMathType.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/lerp.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <limits>

#include "base/error.h"

namespace flame {
namespace {

// Disables deterministic algorithms for a scope. The written rows are distinct, so their order does
// not matter, and the deterministic index_copy_ on CUDA asks the host for the largest index.
class AnyOrder {
 public:
  AnyOrder()
      : ordered_(at::globalContext().deterministicAlgorithms()),
        warn_only_(at::globalContext().deterministicAlgorithmsWarnOnly()) {
    at::globalContext().setDeterministicAlgorithms(false, warn_only_);
  }
  ~AnyOrder() { at::globalContext().setDeterministicAlgorithms(ordered_, warn_only_); }
  AnyOrder(const AnyOrder&) = delete;
  AnyOrder& operator=(const AnyOrder&) = delete;

 private:
  bool ordered_, warn_only_;
};

// Returns [B, n, k] x [B, k, m]; sums and result are float32 if both inputs are bfloat16.
at::Tensor WideProduct(const at::Tensor& a, const at::Tensor& b) {
  const auto wide = at::toOpMathType(a.scalar_type());
  if (a.is_cuda() && wide != a.scalar_type()) return at::bmm(a, b, wide);
  return at::bmm(a.to(wide), b.to(wide));
}

struct Attended {
  at::Tensor out, logsumexp;  // [B, heads, n, D] and [B, heads, n, 1], wide
};

// Attends with query [B, heads, n, D] to keys and values [B, heads, capacity, D], except those in
// `hidden` [B, 1, 1, capacity].
Attended AttendTo(const at::Tensor& query, const KeyValueCache& cache, const at::Tensor& hidden) {
  const auto flat = [](const at::Tensor& x) { return x.flatten(0, 1); };
  const double scale = 1 / std::sqrt(static_cast<double>(query.size(3)));
  at::Tensor scores = WideProduct(flat(query), flat(cache.keys).transpose(1, 2))
                          .mul_(scale)
                          .unflatten(0, {query.size(0), query.size(1)});
  // Uses a finite number, because at a place without a trunk every score is hidden.
  const double lowest = scores.scalar_type() == at::kDouble ? std::numeric_limits<double>::lowest()
                                                            : std::numeric_limits<float>::lowest();
  scores.masked_fill_(hidden, lowest);
  const at::Tensor lse = at::logsumexp(scores, 3, /*keepdim=*/true);
  const at::Tensor weights = scores.sub_(lse).exp_().to(query.scalar_type());
  return {WideProduct(flat(weights), flat(cache.values)).view(query.sizes()), lse};
}

}  // namespace

StaticStep::Fields::Fields(const StaticShape& shape, at::Device device) {
  const int64_t num_seats = shape.places * shape.group;
  all = at::zeros({4 * shape.rows + num_seats + shape.places},
                  at::TensorOptions(at::kLong).device(device));
  int64_t offset = 0;
  const auto take = [&](int64_t size) {
    offset += size;
    return all.narrow(0, offset - size, size);
  };
  tokens = take(shape.rows);
  positions = take(shape.rows);
  own_size = take(shape.rows);
  seat_of_row = take(shape.rows);
  seats = take(num_seats);
  trunk_size = take(shape.places);
}

StaticStep::StaticStep(const StaticShape& shape, at::Device device)
    : shape_(shape),
      host_(shape, at::kCPU),
      device_(shape, device),
      row_of_seat_(shape.places * shape.group, -1),
      seat_of_row_(shape.rows, -1),
      tokens_of_row_(shape.rows),
      own_begin_(at::arange(shape.rows * shape.kv_heads, device_.all.options())
                     .mul_(shape.own_tokens)
                     .view({shape.rows, shape.kv_heads})) {}

void StaticStep::SetTrunk(int64_t place, int64_t size) {
  for (int64_t seat = place * shape_.group; seat < (place + 1) * shape_.group; ++seat) {
    if (row_of_seat_[seat] >= 0) LeaveSeat(row_of_seat_[seat]);
  }
  host_.trunk_size.mutable_data_ptr<int64_t>()[place] = size;
}

void StaticStep::LeaveSeat(int64_t row) {
  if (seat_of_row_[row] < 0) return;
  row_of_seat_[seat_of_row_[row]] = -1;
  seat_of_row_[row] = -1;
}

void StaticStep::Begin(int64_t row, int64_t place) {
  LeaveSeat(row);
  int64_t seat = place * shape_.group;
  while (seat < (place + 1) * shape_.group && row_of_seat_[seat] >= 0) ++seat;
  if (seat == (place + 1) * shape_.group) {
    throw UsageError("decoder: place ", place, " has the ", shape_.group,
                     " branches that there is room for");
  }
  row_of_seat_[seat] = row;
  seat_of_row_[row] = seat;
  tokens_of_row_[row] = 0;
  host_.seats.mutable_data_ptr<int64_t>()[seat] = row;
  host_.seat_of_row.mutable_data_ptr<int64_t>()[row] = seat;
  // Until the row is fed, it computes an arbitrary token in the place of its first one.
  host_.tokens.mutable_data_ptr<int64_t>()[row] = 0;
  host_.own_size.mutable_data_ptr<int64_t>()[row] = 0;
}

void StaticStep::Feed(int64_t row, int64_t token) {
  const int64_t before = tokens_of_row_[row]++;
  const int64_t place = seat_of_row_[row] / shape_.group;
  host_.tokens.mutable_data_ptr<int64_t>()[row] = token;
  host_.own_size.mutable_data_ptr<int64_t>()[row] = before;
  host_.positions.mutable_data_ptr<int64_t>()[row] =
      host_.trunk_size.const_data_ptr<int64_t>()[place] + before;
}

void StaticStep::Upload() { device_.all.copy_(host_.all); }

void StaticStep::Prepare() {
  const auto hidden = [&](const at::Tensor& size, int64_t capacity) {
    const at::Tensor index = at::arange(capacity, size.options());
    return index.ge(size.unsqueeze(1)).unsqueeze(1).unsqueeze(1);
  };
  trunk_hidden_ = hidden(device_.trunk_size, shape_.trunk_tokens);
  own_hidden_ = hidden(device_.own_size + 1, shape_.own_tokens);
  own_rows_ = (own_begin_ + device_.own_size.unsqueeze(1)).flatten();
}

at::Tensor StaticStep::Attend(const AttentionInput& input, const KeyValueCache& trunks,
                              KeyValueCache* own) const {
  const int64_t rows = shape_.rows, kv_heads = shape_.kv_heads, d = input.query.size(2);
  const int64_t shared = input.query.size(1) / kv_heads;
  {
    const AnyOrder any_order;
    own->keys.view({-1, d}).index_copy_(0, own_rows_, input.key.reshape({-1, d}));
    own->values.view({-1, d}).index_copy_(0, own_rows_, input.value.reshape({-1, d}));
  }
  const at::Tensor query = input.query.view({rows, kv_heads, shared, d});
  const Attended on_own = AttendTo(query, *own, own_hidden_);

  // Reorders between [places, kv_heads, group * shared, ...] and
  // [places * group, kv_heads, shared, ...].
  const at::Tensor seated = query.index_select(0, device_.seats)
                                .view({shape_.places, shape_.group, kv_heads, shared, d})
                                .transpose(1, 2)
                                .reshape({shape_.places, kv_heads, shape_.group * shared, d});
  const Attended on_trunk = AttendTo(seated, trunks, trunk_hidden_);
  const auto of_rows = [&](const at::Tensor& x) {
    return x.view({shape_.places, kv_heads, shape_.group, shared, x.size(3)})
        .transpose(1, 2)
        .flatten(0, 1)
        .index_select(0, device_.seat_of_row);
  };
  const at::Tensor share = (of_rows(on_trunk.logsumexp) - on_own.logsumexp).sigmoid_();
  return at::lerp(on_own.out, of_rows(on_trunk.out), share)
      .to(input.query.scalar_type())
      .view(input.query.sizes());
}

}  // namespace flame
