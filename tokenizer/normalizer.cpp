#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/error.h"
#include "tokenizer/pipeline.h"
#include "tokenizer/step.h"
#include "tokenizer/text.h"

namespace flame {
namespace {

using nlohmann::json;

// Returns a normal form of Unicode (Standard Annex 15) as options of utf8proc; nothing for any
// other type.
std::optional<utf8proc_option_t> NormalForm(const std::string& type) {
  if (type != "NFC" && type != "NFD" && type != "NFKC" && type != "NFKD") return std::nullopt;
  const int form = type.back() == 'C' ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | form |
                                        (type[2] == 'K' ? UTF8PROC_COMPAT : 0));
}

void Normalize(utf8proc_option_t form, std::string* text) {
  // ASCII is normal in every form.
  const auto is_ascii = [](char c) { return static_cast<signed char>(c) >= 0; };
  if (std::all_of(text->begin(), text->end(), is_ascii)) return;
  utf8proc_uint8_t* normal = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text->data()),
                   static_cast<utf8proc_ssize_t>(text->size()), &normal, form);
  if (size < 0) throw MachineError("utf8proc: ", utf8proc_errmsg(size));
  text->assign(reinterpret_cast<const char*>(normal), static_cast<size_t>(size));
  std::free(normal);
}

}  // namespace

Normalizer::Normalizer(const json& json, const std::string& where) {
  if (json.is_null()) return;
  const std::string type = json.at("type");
  if (type == "Sequence") {
    for (const auto& step : json.at("normalizers")) {
      for (auto& inner : Normalizer(step, where).steps_) steps_.push_back(std::move(inner));
    }
  } else if (type == "Prepend") {
    steps_.push_back([prefix = json.at("prepend").get<std::string>()](std::string* text) {
      if (!text->empty()) text->insert(0, prefix);
    });
  } else if (type == "Replace") {
    steps_.push_back([from = StringPattern(json, where, "normalizer Replace"),
                      to = json.at("content").get<std::string>()](std::string* text) {
      ReplaceAll(from, to, text);
    });
  } else if (const auto form = NormalForm(type)) {
    steps_.push_back([form = *form](std::string* text) { Normalize(form, text); });
  } else {
    RefuseStep(where, "normalizer", json, "Sequence, Prepend, Replace, NFC, NFD, NFKC, NFKD");
  }
}

std::string Normalizer::Apply(std::string text) const {
  for (const auto& step : steps_) step(&text);
  return text;
}

}  // namespace flame
