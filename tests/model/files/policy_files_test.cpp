// Tests saving and loading policies: what is written comes back, and what does not fit is named.
#include "model/files/policy_files.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/files/safetensors.h"
#include "model/files/weights.h"
#include "model/named_tensors.h"
#include "model/policy.h"
#include "tests/model/files/policy_folder.h"
#include "tests/model/oracle.h"

namespace flame {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

NamedTensors Tensors(const fs::path& file) {
  const WeightReader reader({file});
  NamedTensors tensors;
  for (const std::string& name : reader.Names()) tensors[name] = reader.Read(name, at::kFloat);
  return tensors;
}

TEST_F(PolicyFolder, SaveAndLoad_KeepEverything) {
  const Policy policy = FullPolicy();
  SavePolicy(policy, folder_);
  const Policy loaded = LoadPolicy(folder_, at::kFloat);
  ExpectSameParameters(policy, loaded);
  EXPECT_EQ(loaded.config().d_ff, 48);
  EXPECT_EQ(loaded.config().bos_id, -1);
  ASSERT_EQ(loaded.entities().size(), 2u);
  EXPECT_EQ(loaded.entities()[1].first_token, 50);
  auto families = VariedFamilies(37, 1);
  families[0].trunk[1] = 52;
  const FamilyBatch batch = PackFamilies(families);
  EXPECT_TRUE(at::equal(loaded.Hidden(batch, {}), policy.Hidden(batch, {})));
}

// Returns the policy in the form that GRPO starts from.
Policy Frozen(Policy policy) {
  policy.MergeAdapters();
  policy = policy.MaterializeEntities();
  policy.AddAdapters({}, 5);
  return policy;
}

TEST_F(PolicyFolder, OpenedAndReadLater_IsTheSameBitForBit) {
  for (const bool tie : {false, true}) {
    Policy policy = TestPolicy(at::kFloat, tie);
    policy.AddEntities({{"drug", 40, at::arange(30, at::kDouble).sin().view({5, 6}), 7}}, 3);
    AddTestAdapters(&policy);
    SavePolicy(policy, folder_);
    for (const auto quantization : {Quantization::kNone, Quantization::kNf4}) {
      const Policy expected = Frozen(LoadPolicy(folder_, at::kFloat, quantization));
      Policy opened = Frozen(OpenPolicy(folder_, at::kFloat, quantization));
      EXPECT_THROW(opened.Hidden(PackFamilies(VariedFamilies(37, 1)), {}), std::logic_error);
      opened.ReadStored();
      ExpectSameParameters(opened, expected);
    }
    fs::remove_all(folder_);
  }
}

TEST_F(PolicyFolder, PartsOfAnOpenedParameter_AreThoseOfTheWhole) {
  Policy policy = TestPolicy(at::kFloat);
  AddTestAdapters(&policy);
  SavePolicy(policy, folder_);
  const Policy whole = Frozen(LoadPolicy(folder_, at::kFloat));
  const Policy opened = Frozen(OpenPolicy(folder_, at::kFloat));
  for (const auto& [name, tensor] : whole.parameters()) {
    for (const int64_t begin : {int64_t{0}, int64_t{3}, tensor.numel() / 2}) {
      const at::Tensor part = at::zeros({tensor.numel() - begin - (begin > 0 ? 1 : 0)});
      opened.CopyParameter(name, begin, part);
      EXPECT_TRUE(at::equal(part, tensor.flatten().narrow(0, begin, part.numel()))) << name;
    }
  }
}

TEST_F(PolicyFolder, OpenedAndSaved_IsTheSameFile) {
  SavePolicy(TestPolicy(at::kFloat), folder_);
  const fs::path copy = folder_.string() + ".copy";
  SavePolicy(OpenPolicy(folder_, at::kFloat), copy);
  EXPECT_EQ(ReadWholeFile(copy / "model.safetensors"),
            ReadWholeFile(folder_ / "model.safetensors"));
  fs::remove_all(copy);
}

TEST_F(PolicyFolder, TiedDouble_KeepsEveryBit) {
  const Policy policy = TestPolicy(at::kDouble);
  SavePolicy(policy, folder_);
  ExpectSameParameters(policy, LoadPolicy(folder_, at::kDouble));
  EXPECT_FALSE(SafetensorsFile(folder_ / "model.safetensors").tensors().contains("lm_head.weight"));
}

TEST_F(PolicyFolder, AdapterFolder_FitsAnotherCopyOfTheBase) {
  const Policy policy = FullPolicy();
  SavePolicy(policy, folder_);
  Policy base = TestPolicy(at::kFloat, /*tie=*/false);
  LoadPeftAdapters(folder_, &base);
  const FamilyBatch batch = PackFamilies(VariedFamilies(37, 2));
  EXPECT_TRUE(at::equal(base.Hidden(batch, {}), policy.Hidden(batch, {})));
  EXPECT_THROW(LoadPeftAdapters(folder_, &base), UsageError);
}

TEST_F(PolicyFolder, Adapters_AreNamedAsInPeft) {
  SavePolicy(FullPolicy(), folder_);
  const SafetensorsFile file(folder_ / "adapter_model.safetensors");
  EXPECT_TRUE(
      file.tensors().contains("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"));
  const json config = json::parse(ReadWholeFile(folder_ / "adapter_config.json"));
  EXPECT_EQ(config.at("r"), 4);
  EXPECT_EQ(config.at("lora_alpha"), 16);
  EXPECT_EQ(config.at("task_type"), "CAUSAL_LM");
}

TEST_F(PolicyFolder, HalfPrecisionFiles_AreConverted) {
  const Policy policy = TestPolicy(at::kFloat);
  SavePolicy(policy, folder_);
  std::map<std::string, TensorView> views;
  std::vector<at::Tensor> held;
  for (const auto& [name, tensor] : policy.parameters()) {
    const at::Tensor& half = held.emplace_back(tensor.to(at::kBFloat16));
    views[name] = {"BF16", half.sizes().vec(), half.const_data_ptr(), half.nbytes()};
  }
  WriteSafetensors(folder_ / "model.safetensors", views);
  const Policy loaded = LoadPolicy(folder_, at::kFloat);
  const char* name = "model.layers.2.mlp.up_proj.weight";
  EXPECT_TRUE(at::equal(loaded.parameters().at(name),
                        policy.parameters().at(name).to(at::kBFloat16).to(at::kFloat)));
}

TEST_F(PolicyFolder, ShardedWeights_AreRead) {
  const Policy policy = TestPolicy(at::kFloat);
  SavePolicy(policy, folder_);
  std::map<std::string, at::Tensor> first, second;
  json map;
  for (const auto& [name, tensor] : policy.parameters()) {
    const bool early = name < "model.layers.1.";
    (early ? first : second)[name] = tensor;
    map[name] = early ? "a.safetensors" : "b.safetensors";
  }
  fs::remove(folder_ / "model.safetensors");
  WriteWeights(folder_ / "a.safetensors", first);
  WriteWeights(folder_ / "b.safetensors", second);
  WriteFileAtomically(folder_ / "model.safetensors.index.json", json{{"weight_map", map}}.dump());
  ExpectSameParameters(policy, LoadPolicy(folder_, at::kFloat));
}

TEST_F(PolicyFolder, TensorFaults_AreAllInOneMessage) {
  SavePolicy(TestPolicy(at::kFloat), folder_);
  auto tensors = TestPolicy(at::kFloat).parameters();
  tensors.erase("model.norm.weight");
  tensors["model.layers.0.mlp.up_proj.weight"] = at::zeros({48, 31});
  tensors["model.layers.3.mlp.up_proj.weight"] = at::zeros({2});
  WriteWeights(folder_ / "model.safetensors", tensors);
  EXPECT_THAT(
      LoadError(),
      AllOf(HasSubstr("model.norm.weight: missing, expected [32]"),
            HasSubstr("model.layers.0.mlp.up_proj.weight: shape [48, 31], expected [48, 32]"),
            HasSubstr("model.layers.3.mlp.up_proj.weight: unexpected")));
}

TEST_F(PolicyFolder, NumbersThatAreNotFinite_AreRefusedWithTheTensor) {
  const Policy policy = TestPolicy(at::kFloat);
  const char* name = "model.layers.1.mlp.up_proj.weight";
  const auto error_with = [&](double number, at::ScalarType dtype, Quantization quantization) {
    SavePolicy(policy, folder_);
    auto tensors = policy.parameters();
    tensors[name] = tensors[name].clone();
    tensors[name].view({-1})[77] = number;
    WriteWeights(folder_ / "model.safetensors", tensors);
    try {
      LoadPolicy(folder_, dtype, quantization);
    } catch (const DataError& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  for (const auto dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    EXPECT_THAT(error_with(NAN, dtype, Quantization::kNone), HasSubstr(name));
    EXPECT_THAT(error_with(-INFINITY, dtype, Quantization::kInt8), HasSubstr(name));
  }
  // 3.4e38 exceeds bfloat16's largest number, but not float32's.
  EXPECT_EQ(error_with(3.4e38, at::kFloat, Quantization::kNone), "no error");
  EXPECT_THAT(error_with(3.4e38, at::kBFloat16, Quantization::kNone), HasSubstr(name));
}

TEST_F(PolicyFolder, BrokenIndex_IsNamed) {
  SavePolicy(TestPolicy(at::kFloat), folder_);
  fs::remove(folder_ / "model.safetensors");
  for (const char* text : {"[1]", "{\"weight_map\": 3}", "{}"}) {
    WriteFileAtomically(folder_ / "model.safetensors.index.json", text);
    EXPECT_THAT(LoadError(), HasSubstr("model.safetensors.index.json: expected an object"));
  }
}

TEST_F(PolicyFolder, MissingFiles_AreNamed) {
  EXPECT_THAT(LoadError(), HasSubstr("no such folder"));
  SavePolicy(TestPolicy(at::kFloat), folder_);
  fs::remove(folder_ / "model.safetensors");
  EXPECT_THAT(LoadError(), HasSubstr("expected model.safetensors"));
  fs::remove(folder_ / "config.json");
  EXPECT_THAT(LoadError(), HasSubstr("config.json"));
}

TEST_F(PolicyFolder, UnsupportedConfig_IsRefused) {
  const auto error_with = [&](const char* key, const json& value) {
    SavePolicy(TestPolicy(at::kFloat), folder_);
    Edit("config.json", key, value);
    return LoadError();
  };
  EXPECT_THAT(error_with("architectures", {"MistralForCausalLM"}), HasSubstr("LlamaForCausalLM"));
  EXPECT_THAT(error_with("rope_scaling", {{"rope_type", "dynamic"}, {"factor", 8}}),
              HasSubstr("'dynamic' is not supported"));
  EXPECT_THAT(error_with("attention_bias", true),
              HasSubstr("self_attn.q_proj.bias: missing, expected [32]"));
  EXPECT_THAT(error_with("mlp_bias", true), HasSubstr("mlp_bias"));
  EXPECT_THAT(error_with("hidden_act", "gelu"), HasSubstr("hidden_act"));
  EXPECT_EQ(error_with("hidden_act", "swish"), "no error") << "another name of silu";
  EXPECT_THAT(error_with("logits_scaling", 8.0), HasSubstr("logits_scaling is 8.0"));
  EXPECT_THAT(error_with("is_causal", false), HasSubstr("is_causal"));
  EXPECT_THAT(error_with("final_logit_softcapping", 30.0), HasSubstr("final_logit_softcapping"));
  EXPECT_EQ(error_with("final_logit_softcapping", json()), "no error");
  EXPECT_EQ(error_with("id2label", {{"0", "A"}}), "no error");
  EXPECT_THAT(error_with("num_attention_heads", 3), HasSubstr("sizes do not fit"));
  EXPECT_THAT(error_with("hidden_size", "32"), HasSubstr("wrong type"));
  EXPECT_THAT(error_with("hidden_size", 32.5), HasSubstr("wrong type"));
  EXPECT_THAT(error_with("eos_token_id", 2.5), HasSubstr("wrong type"));
  EXPECT_THAT(error_with("num_hidden_layers", int64_t{1000000000000}), HasSubstr("at most 10000"));
  EXPECT_THAT(error_with("vocab_size", int64_t{1} << 40), HasSubstr("at most"));
  EXPECT_THAT(error_with("rms_norm_eps", -1), HasSubstr("above 0"));
  EXPECT_THAT(error_with("rope_theta", 0), HasSubstr("above 0"));
  EXPECT_THAT(error_with("rope_parameters", "x"), HasSubstr("expected an object"));
  EXPECT_THAT(error_with("vocab_size", json()), HasSubstr("no key 'vocab_size'"));
}

TEST_F(PolicyFolder, EndIds_AreKeptAndTheTrainedOneIsFirst) {
  Policy policy = TestPolicy(at::kFloat);
  SavePolicy(policy, folder_);
  Edit("config.json", "eos_token_id", {7, 8});
  policy = LoadPolicy(folder_, at::kFloat);
  policy.EndWith(9);
  policy.EndWith(8);
  fs::remove_all(folder_);
  SavePolicy(policy, folder_);
  EXPECT_EQ(LoadPolicy(folder_, at::kFloat).config().end_ids, (std::vector<int32_t>{8, 9, 7}));
}

TEST_F(PolicyFolder, NewerRopeParameters_AreUnderstood) {
  SavePolicy(TestPolicy(at::kFloat), folder_);
  json config = json::parse(ReadWholeFile(folder_ / "config.json"));
  config.erase("rope_theta");
  config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 500000.0}};
  config["eos_token_id"] = {7, 8};
  WriteFileAtomically(folder_ / "config.json", config.dump());
  const Policy loaded = LoadPolicy(folder_, at::kFloat);
  EXPECT_EQ(loaded.config().rope_theta, 500000.0);
  EXPECT_EQ(loaded.config().end_ids, (std::vector<int32_t>{7, 8}));
}

// Old versions of transformers saved the rotary embedding's frequencies.
TEST_F(PolicyFolder, InvFreqBuffers_AreIgnored) {
  SavePolicy(TestPolicy(at::kFloat), folder_);
  NamedTensors tensors = Tensors(folder_ / "model.safetensors");
  tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = at::ones({4});
  tensors["model.rotary_emb.inv_freq"] = at::ones({4});
  WriteWeights(folder_ / "model.safetensors", tensors);
  EXPECT_EQ(LoadError(), "no error");
}

TEST_F(PolicyFolder, TiedConfigWithAnotherHead_IsRefused) {
  SavePolicy(TestPolicy(at::kFloat), folder_);
  Edit("config.json", "tie_word_embeddings", true);
  NamedTensors tensors = Tensors(folder_ / "model.safetensors");
  tensors["lm_head.weight"] = tensors.at("model.embed_tokens.weight").clone();
  WriteWeights(folder_ / "model.safetensors", tensors);
  EXPECT_EQ(LoadError(), "no error");
  tensors["lm_head.weight"][0][0] += 1;
  WriteWeights(folder_ / "model.safetensors", tensors);
  EXPECT_THAT(LoadError(), HasSubstr("tie_word_embeddings is true, but lm_head.weight differs"));
}

TEST_F(PolicyFolder, LfsPointers_AreNamed) {
  const std::string pointer =
      "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4096\n";
  for (const char* file :
       {"model.safetensors", "config.json", "adapter_model.safetensors", "adapter_config.json"}) {
    SavePolicy(FullPolicy(), folder_);
    WriteFileAtomically(folder_ / file, pointer);
    EXPECT_THAT(LoadError(), HasSubstr(StrCat(file, ": is a Git LFS pointer"))) << file;
  }
}

TEST_F(PolicyFolder, UnsupportedAdapters_AreRefused) {
  const auto error_with = [&](const char* key, const json& value) {
    SavePolicy(FullPolicy(), folder_);
    Edit("adapter_config.json", key, value);
    return LoadError();
  };
  EXPECT_THAT(error_with("use_dora", true), HasSubstr("use_dora"));
  EXPECT_THAT(error_with("rank_pattern", {{"q_proj", 2}}), HasSubstr("rank_pattern"));
  EXPECT_EQ(error_with("target_modules", ".*(q|v)_proj"), "no error")
      << "the tensors tell the maps";
  EXPECT_EQ(error_with("target_modules", "all-linear"), "no error");
  EXPECT_THAT(error_with("target_modules", ""), HasSubstr("target_modules"));
  EXPECT_THAT(error_with("target_modules", {1}), HasSubstr("target_modules"));
  EXPECT_THAT(error_with("target_modules", {"lm_head"}), HasSubstr("target_modules"));
  EXPECT_THAT(error_with("init_lora_weights", "pissa"), HasSubstr("init_lora_weights"));
  EXPECT_EQ(error_with("init_lora_weights", "orthogonal"), "no error");
  EXPECT_THAT(error_with("use_rslora", "yes"), HasSubstr("use_rslora"));
  // Activated LoRA applies from these tokens on; a field of a version to come may do anything.
  EXPECT_THAT(error_with("alora_invocation_tokens", {20, 7}), HasSubstr("alora_invocation_tokens"));
  EXPECT_THAT(error_with("layers_to_transform", {0}), HasSubstr("layers_to_transform"));
  EXPECT_THAT(error_with("trainable_token_indices", {3}), HasSubstr("trainable_token_indices"));
  EXPECT_THAT(error_with("lora_bias", true), HasSubstr("lora_bias"));
  EXPECT_THAT(error_with("use_some_new_lora", true), HasSubstr("use_some_new_lora"));
  EXPECT_EQ(error_with("use_some_new_lora", false), "no error");
  EXPECT_EQ(error_with("peft_version", "9.9"), "no error");
  EXPECT_THAT(error_with("lora_dropout", "x"), HasSubstr("lora_dropout"));
  EXPECT_THAT(error_with("lora_dropout", 2), HasSubstr("lora_dropout"));
  EXPECT_THAT(error_with("lora_alpha", 1e308), HasSubstr("lora_alpha"));
  EXPECT_THAT(error_with("r", 8), HasSubstr("shape [4, 32], expected [8, 32]"));
}

TEST_F(PolicyFolder, DamagedEntities_AreRefused) {
  const auto error_with = [&](const char* key, const json& value) {
    SavePolicy(FullPolicy(), folder_);
    json list = json::parse(ReadWholeFile(folder_ / "entities.json"));
    list[1][key] = value;
    WriteFileAtomically(folder_ / "entities.json", list.dump());
    return LoadError();
  };
  EXPECT_THAT(error_with("first_token", 44), HasSubstr("overlapping slots"));
  EXPECT_THAT(error_with("first_token", 36), HasSubstr("inside the vocabulary"));
  EXPECT_THAT(error_with("count", 5), HasSubstr("procedure.collab: shape [4, 2], expected [5, 2]"));
  EXPECT_THAT(error_with("count", -1), HasSubstr("entities.json"));
  EXPECT_THAT(error_with("hidden", json()), HasSubstr("entities.json"));
}

TEST_F(PolicyFolder, OtherDtypes_AreRefused) {
  SavePolicy(TestPolicy(at::kFloat), folder_);
  EXPECT_THROW(LoadPolicy(folder_, at::kHalf), UsageError);
  EXPECT_THROW(Policy::Random(TestConfig(true), at::kLong, 1), UsageError);
}

TEST_F(PolicyFolder, RandomStart_DependsOnTheSeedOnly) {
  const PolicyConfig config = PolicyPreset("tiny", 300);
  ExpectSameParameters(Policy::Random(config, at::kFloat, 4),
                       Policy::Random(config, at::kFloat, 4));
  const at::Tensor a =
      Policy::Random(config, at::kFloat, 4).parameters().at("model.embed_tokens.weight");
  const at::Tensor b =
      Policy::Random(config, at::kFloat, 5).parameters().at("model.embed_tokens.weight");
  EXPECT_FALSE(at::equal(a, b));
  EXPECT_NEAR(a.std().item<float>(), 1 / std::sqrt(128.0), 0.002);
  EXPECT_NEAR(a.mean().item<float>(), 0, 0.002);
}

}  // namespace
}  // namespace flame
