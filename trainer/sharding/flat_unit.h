// Units: tensors that are gathered, reduced and freed together, as one flat buffer.
#ifndef FLAME_TRAINER_SHARDING_FLAT_UNIT_H_
#define FLAME_TRAINER_SHARDING_FLAT_UNIT_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "model/named_tensors.h"

namespace flame {

// A flat tensor whose memory can be removed and put back while views of the tensor stay. Do not
// read the views while the tensor has no memory. While it has memory, the views keep the memory
// alive.
class HollowTensor {
 public:
  // Starts without memory.
  HollowTensor(int64_t size, const at::TensorOptions& options);
  const at::Tensor& tensor() const { return tensor_; }
  // True if the tensor has its memory.
  bool there() const { return memory_.defined(); }
  // Removes the memory and returns it as a flat tensor of the same number of elements.
  at::Tensor Take();
  // Gives the tensor memory of its size.
  void Put(at::Tensor memory);

 private:
  at::Tensor tensor_, memory_;
};

// Hands out memory for units and counts it.
class BufferPool {
 public:
  // Returns a waiting buffer of this type and number of elements, or a new one.
  at::Tensor Get(int64_t size, const at::TensorOptions& options);
  // Takes a buffer back to wait for the next Get of its type and size.
  void Keep(at::Tensor buffer);
  // Takes a buffer back and frees it.
  void Drop(at::Tensor buffer);
  // Frees all waiting buffers.
  void DropWaiting();
  int64_t peak_bytes() const { return peak_bytes_; }  // most bytes handed out and waiting together

 private:
  using Key = std::pair<at::ScalarType, int64_t>;
  std::map<Key, std::vector<at::Tensor>> waiting_;
  int64_t bytes_ = 0, peak_bytes_ = 0;
};

// A tensor and its place in the unit.
struct UnitMember {
  std::string name;
  at::Tensor tensor;
  int64_t offset = 0;  // elements
};

// Tensors of one dtype laid out one after the other.
struct UnitLayout {
  std::vector<UnitMember> members;
  int64_t size = 0;  // elements, padding included
};
// Returns the elements of a unit of tensors of these sizes: each begins at a cache line, and all
// shards have the same size.
int64_t UnitElements(const std::vector<int64_t>& sizes, int64_t shards);
// Pads the layout so that it splits into `shards` shards of equal size.
UnitLayout LayOut(const NamedTensors& tensors, int64_t shards);

// Makes the members views of `whole`.
void PointMembers(const UnitLayout& layout, const at::Tensor& whole);
// Makes the members' gradients views of `whole`.
void PointGradients(const UnitLayout& layout, const at::Tensor& whole);

}  // namespace flame

#endif  // FLAME_TRAINER_SHARDING_FLAT_UNIT_H_
