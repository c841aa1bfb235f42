#include "launch/command/questions.h"

#include <openssl/evp.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "launch/cli/json_lines.h"
#include "launch/run/device.h"
#include "model/files/policy_files.h"
#include "model/shapes.h"

namespace flame {
namespace {

using nlohmann::json;

std::string DecodeBase64(const std::string& text) {
  std::string bytes(text.size() / 4 * 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  const bool padded_inside = text.find('=') < text.size() - padding;
  if (size < 0 || text.size() % 4 != 0 || padded_inside) {
    throw DataError("'", text, "' is not base64");
  }
  bytes.resize(size - padding);
  return bytes;
}

}  // namespace

std::string TextOf(const json& question) {
  CheckOneOf(question, {"ids", "text", "bytes_base64"});
  if (question.contains("bytes_base64"))
    return DecodeBase64(StringMember(question, "bytes_base64"));
  return StringMember(question, "text");
}

std::vector<int32_t> IdsBelow(const json& ids, int64_t end, const std::string& what) {
  if (!ids.is_array()) {
    throw DataError(what, " is ", ids.dump(), "; expected a list of token ids");
  }
  std::vector<int32_t> values;
  for (const json& id : ids) {
    if (!id.is_number_integer() || id < 0 || id >= end) {
      throw DataError("token id ", id.dump(), " in ", what, "; expected a whole number, 0 to ",
                      end - 1);
    }
    values.push_back(id.get<int32_t>());
  }
  return values;
}

std::vector<int32_t> IdsOf(const json& ids, const Policy& policy, const std::string& what) {
  int64_t end = policy.config().vocab_size;
  for (const EntitySlots& slots : policy.entities()) {
    end = std::max(end, slots.first_token + slots.collab.size(0));
  }
  const std::vector<int32_t> values = IdsBelow(ids, end, what);
  if (values.empty()) throw DataError(what, " is empty; expected at least one token id");
  return values;
}

Policy PolicyOf(const ParsedOptions& options) {
  const c10::Device device = OpenDevice(options.Text("device", "cpu"));
  const at::ScalarType dtype = DtypeOf(options.Text("dtype", "float32"));
  if (!device.is_cpu() && dtype == at::kDouble) {
    throw UsageError("--dtype is float64 with --device cuda; expected float32 or bfloat16");
  }
  Policy policy = LoadPolicy(options.Required("model"), dtype,
                             QuantizationOf(options.Text("quantize", "none")));
  if (options.Has("adapter")) {
    if (policy.has_adapters()) policy.MergeAdapters();
    LoadPeftAdapters(options.Text("adapter"), &policy);
  }
  policy.MoveTo(device);
  return policy;
}

}  // namespace flame
