// Checks that a device computes what the CPU does, and measures its speed on a model of Llama 3.1
// 8B's shape with random weights. scripts/gpu_check builds and runs it. Without a GPU it runs on
// the CPU:
//   ninja -C build gpu_check && build/bench/gpu_check --device cpu --layers 1
#include <ATen/DeviceAccelerator.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <c10/core/CachingDeviceAllocator.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <chrono>
#include <fstream>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/random.h"
#include "launch/run/device.h"
#include "model/decoder.h"
#include "model/policy.h"

namespace flame {
namespace {

using nlohmann::json;

std::vector<int32_t> DrawTokens(RandomStream* random, int64_t size, int64_t vocab_size) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < size; ++i) {
    tokens.push_back(static_cast<int32_t>(random->Below(vocab_size)));
  }
  return tokens;
}

// Returns families of one trunk and G answers with every answer token asked for, like GRPO's.
std::vector<Family> DrawFamilies(int64_t count, int64_t trunk, int64_t group, int64_t answer,
                                 int64_t vocab_size) {
  RandomStream random(1, kInit);
  std::vector<Family> families;
  for (int64_t f = 0; f < count; ++f) {
    Family family{DrawTokens(&random, trunk, vocab_size), {}};
    for (int64_t b = 0; b < group; ++b) {
      family.branches.push_back({DrawTokens(&random, answer, vocab_size), 0});
    }
    families.push_back(std::move(family));
  }
  return families;
}

LoraOptions EveryMap() {
  LoraOptions lora;
  lora.rank = 32;
  lora.alpha = 32;
  lora.dropout = 0;
  lora.targets = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
  return lora;
}

PolicyConfig SmallConfig() {
  PolicyConfig config = PolicyPreset("small", 1000);
  config.max_positions = 4096;
  return config;
}

// Returns the same numbers on every dtype and device; lora_B is not 0, so that lora_A has a
// gradient.
Policy MakePolicy(const PolicyConfig& config, at::ScalarType dtype, at::Device device) {
  Policy policy = Policy::Random(config, dtype, 1);
  policy.AddAdapters(EveryMap(), 2);
  const at::NoGradGuard no_grad;
  for (auto& [name, tensor] : policy.parameters()) {
    if (name.find("lora_B") == std::string::npos) continue;
    const std::string a = name.substr(0, name.find("lora_B")) + "lora_A.weight";
    const at::Tensor& other = policy.parameters().at(a);
    tensor.copy_(other.flatten()
                     .narrow(0, 0, std::min(other.numel(), tensor.numel()))
                     .repeat({(tensor.numel() + other.numel() - 1) / other.numel() + 1})
                     .narrow(0, 0, tensor.numel())
                     .view_as(tensor) *
                 0.1);
  }
  policy.MoveTo(device);
  return policy;
}

struct Computed {
  at::Tensor logprobs;   // [N], float64 on the CPU
  at::Tensor gradients;  // gradients of all adapters, concatenated
};

Computed Compute(Policy* policy, const FamilyBatch& batch) {
  auto trainable = policy->SelectTrainable("adapters");
  const at::Tensor hidden = policy->Hidden(batch, {.recompute = true});
  const at::Tensor logprobs = policy->LogProbs(hidden, batch.sources, batch.targets);
  logprobs.mean().backward();
  std::vector<at::Tensor> gradients;
  for (auto& [name, tensor] : trainable) {
    gradients.push_back(tensor.grad().flatten().to(at::kCPU, at::kDouble));
  }
  return {logprobs.detach().to(at::kCPU, at::kDouble), at::cat(gradients)};
}

double RelativeError(const at::Tensor& found, const at::Tensor& expected) {
  return ((found - expected).norm() / expected.norm()).item<double>();
}

std::vector<int64_t> Greedy(const Policy& policy, const std::vector<int32_t>& trunk,
                            int64_t count) {
  Decoder decoder(policy, {.slots = 1,
                           .places = 1,
                           .trunk_tokens = static_cast<int64_t>(trunk.size()),
                           .max_tokens = count});
  at::Tensor logits = decoder.Prefill({0}, {trunk});
  decoder.Begin(0, 0);
  std::vector<int64_t> tokens;
  while (static_cast<int64_t>(tokens.size()) < count) {
    tokens.push_back(logits.argmax(1).item<int64_t>());
    logits = decoder.Step({0}, {tokens.back()});
  }
  return tokens;
}

// Compares a small policy in the device's dtype with float64 on the CPU.
json Parity(at::ScalarType dtype, at::Device device, double tolerance) {
  const FamilyBatch batch = PackFamilies(DrawFamilies(3, 150, 8, 24, 1000));
  Policy expected_policy = MakePolicy(SmallConfig(), at::kDouble, at::kCPU);
  Policy policy = MakePolicy(SmallConfig(), dtype, device);
  const Computed expected = Compute(&expected_policy, batch), found = Compute(&policy, batch);
  const std::vector<int32_t> trunk = DrawFamilies(1, 150, 0, 0, 1000)[0].trunk;
  const double logprob = (found.logprobs - expected.logprobs).abs().max().item<double>();
  const double gradient = RelativeError(found.gradients, expected.gradients);
  const bool same_text = Greedy(policy, trunk, 32) == Greedy(expected_policy, trunk, 32);
  const bool exact = dtype != at::kBFloat16;  // rounding may change a close choice
  return {{"dtype", c10::toString(dtype)},
          {"logprob_difference_max", logprob},
          {"gradient_relative_error", gradient},
          {"greedy_text_equal", same_text},
          {"tolerance", tolerance},
          {"passed", logprob < tolerance && gradient < tolerance && (same_text || !exact)}};
}

double Seconds(at::Device device, int64_t repeats, const std::function<void()>& body) {
  const auto wait = [&] {
    if (!device.is_cpu()) at::accelerator::synchronizeDevice(std::max<int>(0, device.index()));
  };
  body();  // warm-up
  wait();
  const auto start = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < repeats; ++i) body();
  wait();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() /
         static_cast<double>(repeats);
}

int64_t PeakBytes(at::Device device) {
  if (!device.is_cpu()) {
    const auto stats = c10::getDeviceAllocator(device.type())->getDeviceStats(device.index());
    return stats.allocated_bytes[0].peak;
  }
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    int64_t kib = 0;
    if (word == "VmHWM:" && status >> kib) return kib * 1024;
  }
  return 0;
}

// Returns Llama 3.1 8B (Grattafiori et al. 2024) with `layers` of its 32 layers.
PolicyConfig LlamaConfig(int64_t layers) {
  PolicyConfig config;
  config.vocab_size = 128256;
  config.d_model = 4096;
  config.num_layers = layers;
  config.num_heads = 32;
  config.num_kv_heads = 8;
  config.head_dim = 128;
  config.d_ff = 14336;
  config.rope_theta = 5e5;
  config.rms_eps = 1e-5;
  config.tie_embeddings = false;
  config.max_positions = 8192;
  return config;
}

struct Load {
  int64_t families = 2, trunk = 1024, group = 8, answer = 64, repeats = 3;
};

// A frozen weight costs 2 operations a token forward and 2 backward. A model's flop utilisation
// does not count recomputation (Chowdhery et al. 2022, PaLM, appendix B) or, here, attention's
// scores.
json Speed(int64_t layers, const Load& load, at::Device device, double peak_tflops) {
  const PolicyConfig config = LlamaConfig(layers);
  Policy policy = MakePolicy(config, at::kBFloat16, device);
  const FamilyBatch batch =
      PackFamilies(DrawFamilies(load.families, load.trunk, load.group, load.answer, 128256));
  const auto tokens = static_cast<double>(batch.tokens.numel());
  double weights = 0;
  for (const auto& [name, tensor] : policy.parameters()) {
    if (name.find("_proj.weight") != std::string::npos) weights += tensor.numel();
  }
  const double head = static_cast<double>(config.vocab_size * config.d_model) *
                      static_cast<double>(batch.targets.numel()) / tokens;
  auto trainable = policy.SelectTrainable("adapters");
  const double forward = Seconds(device, load.repeats, [&] {
    const at::NoGradGuard no_grad;
    policy.LogProbs(policy.Hidden(batch, {}), batch.sources, batch.targets);
  });
  const double both = Seconds(device, load.repeats, [&] {
    const at::Tensor hidden = policy.Hidden(batch, {.recompute = true});
    policy.LogProbs(hidden, batch.sources, batch.targets).mean().backward();
    for (auto& [name, tensor] : trainable) tensor.mutable_grad().reset();
  });
  const int64_t train_peak = PeakBytes(device);

  const int64_t rows = load.families * load.group;
  std::vector<std::vector<int32_t>> trunks;
  std::vector<int64_t> places, slots;
  for (Family& family : DrawFamilies(load.families, load.trunk, 0, 0, 128256)) {
    places.push_back(static_cast<int64_t>(trunks.size()));
    trunks.push_back(std::move(family.trunk));
  }
  for (int64_t row = 0; row < rows; ++row) slots.push_back(row);
  Decoder decoder(policy, {.slots = rows,
                           .places = load.families,
                           .trunk_tokens = load.trunk,
                           .max_tokens = load.answer,
                           .group = load.group});
  decoder.Prefill(places, trunks);
  const std::vector<int64_t> fed(rows, 1);
  const double decode = Seconds(device, load.repeats, [&] {
    for (int64_t row = 0; row < rows; ++row) decoder.Begin(row, row / load.group);
    for (int64_t t = 0; t < load.answer; ++t) decoder.Step(slots, fed);
  });
  const auto utilisation = [&](double operations, double seconds) {
    return peak_tflops > 0 ? json(operations * tokens / seconds / (peak_tflops * 1e12)) : json();
  };
  return {{"layers", layers},
          {"dtype", "bfloat16"},
          {"tokens_packed", tokens},
          {"forward_tokens_per_second", tokens / forward},
          {"forward_backward_tokens_per_second", tokens / both},
          {"forward_flop_utilisation", utilisation(2 * (weights + head), forward)},
          {"forward_backward_flop_utilisation", utilisation(4 * (weights + head), both)},
          {"decode_rows", rows},
          {"decode_tokens_per_second", static_cast<double>(rows * load.answer) / decode},
          {"train_peak_bytes", train_peak},
          {"peak_bytes", PeakBytes(device)}};
}

int Main(int argc, char** argv) {
  namespace po = boost::program_options;
  std::string device_name;
  int64_t layers = 0;
  double peak_tflops = 0;
  Load load;
  po::options_description options("gpu_check --device cuda --peak-tflops 989");
  options.add_options()("help,h", "this text")                                  //
      ("device", po::value(&device_name)->default_value("cpu"), "cpu or cuda")  //
      ("layers", po::value(&layers)->default_value(32),
       "layers of the 8B model's 32; 0: parity alone")                                          //
      ("families", po::value(&load.families)->default_value(load.families), "prompts a batch")  //
      ("trunk", po::value(&load.trunk)->default_value(load.trunk), "tokens of a prompt")        //
      ("group", po::value(&load.group)->default_value(load.group), "answers to a prompt")       //
      ("answer", po::value(&load.answer)->default_value(load.answer), "tokens of an answer")    //
      ("repeats", po::value(&load.repeats)->default_value(load.repeats), "timed runs")          //
      ("peak-tflops", po::value(&peak_tflops)->default_value(0),
       "TFLOP/s of the device in dense bfloat16, for utilisation; 0: unknown");
  po::variables_map values;
  po::store(po::parse_command_line(argc, argv, options), values);
  po::notify(values);
  if (values.count("help") != 0) {
    std::cout << options;
    return 0;
  }
  const at::Device device = OpenDevice(device_name);
  json result = {{"device", device_name}, {"parity", json::array()}};
  result["parity"].push_back(Parity(at::kFloat, device, 1e-4));
  result["parity"].push_back(Parity(at::kBFloat16, device, 0.2));
  if (layers > 0) result["speed"] = Speed(layers, load, device, peak_tflops);
  bool passed = true;
  for (const json& check : result["parity"]) passed = passed && check["passed"].get<bool>();
  result["passed"] = passed;
  std::cout << result.dump(2) << "\n";
  return passed ? 0 : 1;
}

}  // namespace
}  // namespace flame

int main(int argc, char** argv) {
  try {
    return flame::Main(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "gpu_check: " << error.what() << "\n";
    return 4;
  }
}
