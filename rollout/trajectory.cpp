#include "rollout/trajectory.h"

#include <cmath>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/files/hdf5.h"
#include "base/files/seal.h"
#include "data/ragged.h"

namespace flame {
namespace {

constexpr char kSchema[] = "flame.trajectories/2";

// The datasets of a shard: the members of all groups, in order. Member i has the tokens
// [offsets[i], offsets[i + 1]); the other offsets work the same way.
struct Columns {
  std::vector<int32_t> tokens, prompt_tokens, final_list;
  std::vector<float> logprobs, phi, phi_jaccard, phi_ddi, phi_refusal, reward;
  std::vector<int16_t> step_of_token;
  std::vector<int64_t> offsets = {0}, step_offsets = {0}, final_offsets = {0}, prompt_offsets = {0};
  std::vector<int64_t> state, task_id, policy_version;
  std::vector<int32_t> group, task, member, num_lines, num_refused;
};

// Calls visit(name, vector) for every dataset, in the order of docs/formats.md.
template <class AnyColumns, class Visit>
void ForEachField(AnyColumns& c, Visit visit) {
  visit("tokens", c.tokens);
  visit("logprobs", c.logprobs);
  visit("step_of_token", c.step_of_token);
  visit("offsets", c.offsets);
  visit("phi", c.phi);
  visit("phi_jaccard", c.phi_jaccard);
  visit("phi_ddi", c.phi_ddi);
  visit("phi_refusal", c.phi_refusal);
  visit("state", c.state);
  visit("step_offsets", c.step_offsets);
  visit("reward", c.reward);
  visit("task_id", c.task_id);
  visit("task", c.task);
  visit("group", c.group);
  visit("member", c.member);
  visit("policy_version", c.policy_version);
  visit("final_list", c.final_list);
  visit("final_offsets", c.final_offsets);
  visit("num_lines", c.num_lines);
  visit("num_refused", c.num_refused);
  visit("prompt_tokens", c.prompt_tokens);
  visit("prompt_offsets", c.prompt_offsets);
}

template <class T>
void Append(const std::vector<T>& values, std::vector<T>* all) {
  all->insert(all->end(), values.begin(), values.end());
}

template <class T>
void AppendList(const std::vector<T>& values, std::vector<T>* all, std::vector<int64_t>* offsets) {
  Append(values, all);
  offsets->push_back(static_cast<int64_t>(all->size()));
}

void AddMember(const Trajectory& member, Columns* c) {
  const Verdict& verdict = member.verdict;
  AppendList(member.tokens, &c->tokens, &c->offsets);
  Append(member.logprobs, &c->logprobs);
  Append(verdict.step_of_token, &c->step_of_token);
  AppendList(verdict.phi, &c->phi, &c->step_offsets);
  Append(verdict.phi_jaccard, &c->phi_jaccard);
  Append(verdict.phi_ddi, &c->phi_ddi);
  Append(verdict.phi_refusal, &c->phi_refusal);
  Append(verdict.state, &c->state);
  AppendList(verdict.final_list, &c->final_list, &c->final_offsets);
  c->reward.push_back(verdict.reward);
  c->num_lines.push_back(verdict.num_lines);
  c->num_refused.push_back(verdict.num_refused);
}

// Reserves memory, because a large vector that grows moves its bytes several times.
void Reserve(const std::vector<Group>& groups, Columns* c) {
  size_t tokens = 0, prompts = 0, steps = 0;
  for (const Group& group : groups) {
    prompts += group.prompt.size();
    for (const Trajectory& member : group.members) {
      tokens += member.tokens.size();
      steps += member.verdict.phi.size();
    }
  }
  c->tokens.reserve(tokens);
  c->logprobs.reserve(tokens);
  c->step_of_token.reserve(tokens);
  c->prompt_tokens.reserve(prompts);
  for (auto* phi : {&c->phi, &c->phi_jaccard, &c->phi_ddi, &c->phi_refusal}) phi->reserve(steps);
  c->state.reserve(steps);
}

Columns ToColumns(const std::vector<Group>& groups) {
  Columns c;
  Reserve(groups, &c);
  for (size_t g = 0; g < groups.size(); ++g) {
    const Group& group = groups[g];
    AppendList(group.prompt, &c.prompt_tokens, &c.prompt_offsets);
    for (size_t m = 0; m < group.members.size(); ++m) {
      AddMember(group.members[m], &c);
      c.task_id.push_back(group.task_id);
      c.task.push_back(group.task);
      c.group.push_back(static_cast<int32_t>(g));
      c.member.push_back(static_cast<int32_t>(m));
      c.policy_version.push_back(group.policy_version);
    }
  }
  return c;
}

// Checks one file's columns. Messages begin with "FILE: trajectories/FIELD".
class Checker {
 public:
  Checker(const Columns& columns, const std::string& file)
      : c_(columns), file_(file), members_(columns.reward.size()) {}

  void CheckAll() const {
    CheckSizes();
    CheckOffsets("offsets", c_.offsets, members_, c_.tokens.size());
    CheckOffsets("step_offsets", c_.step_offsets, members_, c_.phi.size());
    CheckOffsets("final_offsets", c_.final_offsets, members_, c_.final_list.size());
    if (c_.prompt_offsets.empty()) Fail("prompt_offsets", "has 0 values; expected at least 1");
    CheckOffsets("prompt_offsets", c_.prompt_offsets, c_.prompt_offsets.size() - 1,
                 c_.prompt_tokens.size());
    CheckGroups();
    CheckSteps();
    for (float value : c_.logprobs) {
      if (!std::isfinite(value)) Fail("logprobs", "holds ", value, "; expected numbers");
    }
  }

 private:
  template <class... Parts>
  [[noreturn]] void Fail(const char* field, const Parts&... what) const {
    throw DataError(file_, ": trajectories/", field, " ", what...);
  }

  void CheckSize(const char* field, size_t found, size_t expected) const {
    if (found != expected) Fail(field, "has ", found, " values; expected ", expected);
  }

  void CheckSizes() const {
    CheckSize("logprobs", c_.logprobs.size(), c_.tokens.size());
    CheckSize("step_of_token", c_.step_of_token.size(), c_.tokens.size());
    CheckSize("phi_jaccard", c_.phi_jaccard.size(), c_.phi.size());
    CheckSize("phi_ddi", c_.phi_ddi.size(), c_.phi.size());
    CheckSize("phi_refusal", c_.phi_refusal.size(), c_.phi.size());
    CheckSize("state", c_.state.size(), c_.phi.size());
    CheckSize("task_id", c_.task_id.size(), members_);
    CheckSize("task", c_.task.size(), members_);
    CheckSize("group", c_.group.size(), members_);
    CheckSize("member", c_.member.size(), members_);
    CheckSize("policy_version", c_.policy_version.size(), members_);
    CheckSize("num_lines", c_.num_lines.size(), members_);
    CheckSize("num_refused", c_.num_refused.size(), members_);
  }

  void CheckOffsets(const char* field, const std::vector<int64_t>& offsets, size_t lists,
                    size_t total) const {
    CheckSize(field, offsets.size(), lists + 1);
    if (offsets.front() != 0) Fail(field, "begins with ", offsets.front(), "; expected 0");
    for (size_t i = 1; i < offsets.size(); ++i) {
      if (offsets[i] < offsets[i - 1]) {
        Fail(field, "falls from ", offsets[i - 1], " to ", offsets[i], " at ", i);
      }
    }
    if (offsets.back() != static_cast<int64_t>(total)) {
      Fail(field, "ends with ", offsets.back(), "; expected ", total);
    }
  }

  // Groups must follow one another, each with members 0, 1, ... of one task and version.
  void CheckGroups() const {
    const int64_t num_groups = static_cast<int64_t>(c_.prompt_offsets.size()) - 1;
    const int64_t named = members_ == 0 ? 0 : int64_t{c_.group.back()} + 1;
    if (named != num_groups) Fail("group", "names ", named, " groups; expected ", num_groups);
    for (size_t i = 0; i < members_; ++i) {
      const bool first = i == 0 || c_.group[i] != c_.group[i - 1];
      const int32_t before = i == 0 ? -1 : c_.group[i - 1];
      if (first && c_.group[i] != before + 1) {
        Fail("group", "is ", c_.group[i], " at ", i, "; expected ", before + 1);
      }
      const int32_t member = first ? 0 : c_.member[i - 1] + 1;
      if (c_.member[i] != member) {
        Fail("member", "is ", c_.member[i], " at ", i, "; expected ", member);
      }
      if (first) continue;
      if (c_.task_id[i] != c_.task_id[i - 1]) Fail("task_id", "changes within a group, at ", i);
      if (c_.task[i] != c_.task[i - 1]) Fail("task", "changes within a group, at ", i);
      if (c_.policy_version[i] != c_.policy_version[i - 1]) {
        Fail("policy_version", "changes within a group, at ", i);
      }
    }
  }

  void CheckSteps() const {
    for (size_t i = 0; i < members_; ++i) {
      const int64_t num_steps = c_.step_offsets[i + 1] - c_.step_offsets[i] - 1;
      if (num_steps < 0) Fail("step_offsets", "gives member ", i, " no phi; expected at least one");
      for (int64_t t = c_.offsets[i]; t < c_.offsets[i + 1]; ++t) {
        const int16_t step = c_.step_of_token[t];
        if (step == -1 || (step >= 1 && step <= num_steps)) continue;
        Fail("step_of_token", "is ", step, " at ", t, "; expected -1 or 1..", num_steps);
      }
    }
  }

  const Columns& c_;
  const std::string& file_;
  size_t members_;
};

template <class T>
std::vector<T> ListAt(const std::vector<T>& all, const std::vector<int64_t>& offsets, size_t i) {
  return {all.begin() + offsets[i], all.begin() + offsets[i + 1]};
}

Trajectory MemberAt(const Columns& c, size_t i) {
  Trajectory member;
  member.tokens = ListAt(c.tokens, c.offsets, i);
  member.logprobs = ListAt(c.logprobs, c.offsets, i);
  Verdict& verdict = member.verdict;
  verdict.step_of_token = ListAt(c.step_of_token, c.offsets, i);
  verdict.phi = ListAt(c.phi, c.step_offsets, i);
  verdict.phi_jaccard = ListAt(c.phi_jaccard, c.step_offsets, i);
  verdict.phi_ddi = ListAt(c.phi_ddi, c.step_offsets, i);
  verdict.phi_refusal = ListAt(c.phi_refusal, c.step_offsets, i);
  verdict.state = ListAt(c.state, c.step_offsets, i);
  verdict.final_list = ListAt(c.final_list, c.final_offsets, i);
  verdict.reward = c.reward[i];
  verdict.num_lines = c.num_lines[i];
  verdict.num_refused = c.num_refused[i];
  return member;
}

std::vector<Group> ToGroups(const Columns& c) {
  std::vector<Group> groups;
  for (size_t i = 0; i < c.reward.size(); ++i) {
    if (c.member[i] == 0) {
      groups.push_back({c.task_id[i],
                        c.task[i],
                        c.policy_version[i],
                        ListAt(c.prompt_tokens, c.prompt_offsets, groups.size()),
                        {}});
    }
    groups.back().members.push_back(MemberAt(c, i));
  }
  return groups;
}

void WriteColumns(const std::vector<Group>& groups, const ShardInfo& info, Hdf5File* file) {
  const Columns columns = ToColumns(groups);
  file->SetAttribute("schema", kSchema);
  file->SetAttribute("config_sha256", info.config_sha256);
  file->SetAttribute("seed", info.seed);
  file->SetAttribute("step", info.step);
  file->SetAttribute("rank", info.rank);
  ForEachField(columns, [&](const char* name, const auto& values) {
    file->Write(StrCat("trajectories/", name), values);
  });
}

std::vector<Group> ReadColumns(const Hdf5File& file, const std::string& name, ShardInfo* info) {
  CheckSchema(file, kSchema, name);
  ShardInfo found;
  found.config_sha256 = file.StringAttribute("config_sha256");
  found.seed = file.IntAttribute("seed");
  found.step = file.IntAttribute("step");
  found.rank = file.IntAttribute("rank");
  Columns columns;
  ForEachField(columns, [&](const char* field, auto& values) {
    using T = typename std::remove_reference_t<decltype(values)>::value_type;
    values = file.Read<T>(StrCat("trajectories/", field));
  });
  Checker(columns, name).CheckAll();
  if (info != nullptr) *info = found;
  return ToGroups(columns);
}

}  // namespace

std::string EncodeShard(const std::vector<Group>& groups, const ShardInfo& info) {
  Hdf5File file = Hdf5File::CreateInMemory("a shard");
  WriteColumns(groups, info, &file);
  std::string bytes = file.Bytes();
  bytes += SealOf(bytes);
  return bytes;
}

std::vector<Group> DecodeShard(std::string_view bytes, const std::string& name, ShardInfo* info) {
  CheckSeal(bytes, name);
  return ReadColumns(Hdf5File::OpenBytes(bytes, name), name, info);
}

void WriteShard(const std::vector<Group>& groups, const ShardInfo& info,
                const std::filesystem::path& path) {
  AtomicPath target(path, AtomicPath::Kind::kFile);
  Hdf5File file = Hdf5File::Create(target.temporary());
  WriteColumns(groups, info, &file);
  file.Close();
  SealFile(target.temporary());
  target.Commit();
}

std::vector<Group> ReadShard(const std::filesystem::path& path, ShardInfo* info) {
  CheckSeal(path);
  return ReadColumns(Hdf5File::OpenForReading(path), path.string(), info);
}

}  // namespace flame
