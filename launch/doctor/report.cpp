#include "launch/doctor/report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>

#include "base/error.h"

namespace flame {
namespace {

constexpr double kMostClockSkew = 1;         // seconds; hosts compare ages of locks and heartbeats
constexpr int64_t kFilesBesideRanks = 256;   // descriptors for shards, logs and libraries
constexpr int64_t kSharedMemory = 64 << 20;  // bytes per rank that Open MPI takes in /dev/shm
constexpr size_t kMostNamed = 8;

std::string Short(const std::string& text, size_t size) {
  return text.size() <= size ? text : text.substr(0, size) + "...";
}

class Judge {
 public:
  explicit Judge(const Findings& findings) : findings_(findings) {
    for (const RankFacts& facts : findings.ranks) hosts_[facts.rank] = facts.host;
  }

  std::vector<CheckResult> Checks(bool expects_gpus) const {
    std::vector<CheckResult> checks = {Ranks(), Start()};
    for (const std::string& library : Libraries()) checks.push_back(Version(library));
    checks.push_back(OtherLibraries());
    checks.push_back(Nccl());
    if (expects_gpus) checks.push_back(Gpus());
    for (CheckResult check : {Writable(), Shared(), Network(), Clocks()}) {
      checks.push_back(OfAllRanks(std::move(check)));
    }
    checks.push_back(OpenFiles());
    checks.push_back(SharedMemory());
    return checks;
  }

 private:
  std::string Name(int rank) const {
    const auto host = hosts_.find(rank);
    return StrCat("rank ", rank, host == hosts_.end() ? "" : " on " + host->second);
  }

  std::string Names(const std::vector<int>& ranks) const {
    std::string names;
    for (size_t i = 0; i < ranks.size() && i < kMostNamed; ++i) {
      names += (i == 0 ? "" : ", ") + Name(ranks[i]);
    }
    if (ranks.size() > kMostNamed) names += StrCat(" and ", ranks.size() - kMostNamed, " more");
    return names;
  }

  // Returns the ranks for which `bad` holds.
  template <class Predicate>
  std::vector<int> Where(const Predicate& bad) const {
    std::vector<int> ranks;
    for (const RankFacts& facts : findings_.ranks) {
      if (bad(facts)) ranks.push_back(facts.rank);
    }
    return ranks;
  }

  CheckResult Ranks() const {
    std::set<std::string> hosts;
    for (const auto& [rank, host] : hosts_) hosts.insert(host);
    const size_t answered = static_cast<size_t>(findings_.num_ranks) - findings_.silent.size();
    CheckResult check{"ranks", findings_.silent.empty() && findings_.unknown.empty(), "", ""};
    check.found = StrCat(answered, " of ", findings_.num_ranks, " ranks answer, on ", hosts.size(),
                         " host", hosts.size() == 1 ? "" : "s");
    if (!findings_.silent.empty()) {
      check.found += "; silent: " + Names(findings_.silent);
      check.fix =
          "check that the host runs and can be reached over the network that MPI uses "
          "(OMPI_MCA_btl_tcp_if_include names an interface)";
    }
    for (const auto& [rank, why] : findings_.unknown) {
      check.found += "; " + Name(rank) + " could not collect its facts: " + why;
      check.fix += check.fix.empty() ? "see the message of that rank" : "";
    }
    return check;
  }

  CheckResult Start() const {
    const auto open = Where([](const RankFacts& facts) { return !facts.start_has_barrier; });
    if (open.empty()) return {"start", true, "MPI_Init ends with a barrier", ""};
    return {"start", false,
            "MPI_Init may end on one host before it ends on the others, and a rank on another host "
            "may then fail with a segmentation fault: " +
                Names(open),
            "export SLURM_PMIX_FENCE=ring before srun, as the files in slurm/ do; not needed if "
            "Slurm's mpi.conf has PMIxCollFence=ring"};
  }

  // Fails a check that passed if some ranks are silent: it was not tried with them.
  CheckResult OfAllRanks(CheckResult check) const {
    if (findings_.silent.empty() || !check.passed) return check;
    return {check.name, false, "not tried with " + Names(findings_.silent),
            "make all ranks answer first"};
  }

  std::set<std::string> Libraries() const {
    std::set<std::string> libraries;
    for (const RankFacts& facts : findings_.ranks) {
      for (const auto& [library, version] : facts.versions) libraries.insert(library);
    }
    return libraries;
  }

  CheckResult Version(const std::string& library) const {
    std::map<std::string, std::vector<int>> ranks;  // by version
    for (const RankFacts& facts : findings_.ranks) {
      const auto version = facts.versions.find(library);
      ranks[version == facts.versions.end() ? "none" : version->second].push_back(facts.rank);
    }
    CheckResult check{"same " + library, ranks.size() == 1, "", ""};
    for (const auto& [version, those] : ranks) {
      check.found += (check.found.empty() ? "" : "; ") + Short(version, 40) +
                     (check.passed ? "" : ": " + Names(those));
    }
    if (!check.passed) {
      check.fix = library == "flame"
                      ? "run one build of the program everywhere, from a shared folder"
                      : "install the same version of " + library + " on these hosts";
    }
    return check;
  }

  // Compares only ranks that have loaded a library: some plug-ins are loaded only on hosts whose
  // hardware needs them.
  CheckResult OtherLibraries() const {
    std::map<std::string, std::map<std::string, std::vector<int>>> ranks;  // by library and build
    for (const RankFacts& facts : findings_.ranks) {
      for (const auto& [library, build] : facts.libraries) {
        ranks[library][build].push_back(facts.rank);
      }
    }
    CheckResult check{"same libraries", true, StrCat(ranks.size(), " files, by their build ids"),
                      ""};
    for (const auto& [library, builds] : ranks) {
      if (builds.size() == 1) continue;
      check.found = check.passed ? "" : check.found + "; ";
      check.passed = false;
      check.found += library;
      for (const auto& [build, those] : builds) {
        check.found += StrCat(" ", Short(build, 12), ": ", Names(those));
      }
      check.fix = "install one build of these libraries on all hosts";
    }
    return check;
  }

  CheckResult Nccl() const {
    CheckResult check{"one NCCL a process", true, "none is loaded", ""};
    for (const RankFacts& facts : findings_.ranks) {
      if (facts.nccl_files.size() == 1 && check.passed) check.found = facts.nccl_files[0];
      if (facts.nccl_files.size() < 2 || !check.passed) continue;
      check.passed = false;
      check.found = Name(facts.rank) + " has";
      for (const std::string& file : facts.nccl_files) check.found += " " + file;
      check.fix = "leave one of them out of LD_LIBRARY_PATH and LD_PRELOAD";
    }
    return check;
  }

  CheckResult Gpus() const {
    CheckResult check{"GPUs", true, "", ""};
    for (const RankFacts& facts : findings_.ranks) {
      if (!check.passed) break;
      if (!facts.gpu_error.empty()) {
        check = {
            "GPUs", false, Name(facts.rank) + ": " + facts.gpu_error,
            "ask the scheduler for GPUs (--gpus-per-node), and check that nvidia-smi lists them"};
        break;
      }
      for (size_t gpu = 0; gpu < facts.gpus.size(); ++gpu) {
        const GpuFacts& gpu_facts = facts.gpus[gpu];
        check.found =
            StrCat(facts.gpus.size(), " per rank, ", gpu_facts.total_bytes >> 30, " GiB each");
        if (gpu_facts.free_bytes * 10 < gpu_facts.total_bytes * 9) {
          check = {"GPUs", false,
                   StrCat(Name(facts.rank), ": GPU ", gpu, " has ", gpu_facts.free_bytes >> 20,
                          " MiB free of ", gpu_facts.total_bytes >> 20),
                   "end the other processes on this GPU"};
          break;
        }
        if (gpu_facts.unreachable.empty()) continue;
        check = {"GPUs", false,
                 StrCat(Name(facts.rank), ": GPU ", gpu, " cannot reach GPU ",
                        gpu_facts.unreachable[0], "'s memory directly"),
                 "see nvidia-smi topo -m; ranks would exchange through host memory, slowly"};
        break;
      }
    }
    return check;
  }

  CheckResult Writable() const {
    CheckResult check{"run folder is writable", true, "HDF5 files written by every rank", ""};
    for (const FolderFacts& facts : findings_.folder) {
      if (facts.error.empty()) continue;
      check = {check.name, false, Name(facts.rank) + ": " + facts.error,
               "set run.dir to a folder that this user may write on every host, with space left"};
      break;
    }
    return check;
  }

  CheckResult Shared() const {
    CheckResult check{"run folder is shared", true, "every rank sees what the others write", ""};
    for (const FolderFacts& facts : findings_.folder) {
      if (facts.unseen.empty()) continue;
      check = {
          check.name, false,
          StrCat(Name(facts.rank), " does not see the files of ", Names(facts.unseen)),
          "set run.dir to an absolute path on a file system that all hosts mount; without such a "
          "file system, cluster.carrier=mpi sends shards in messages"};
      break;
    }
    return check;
  }

  CheckResult Network() const {
    CheckResult check{"messages", true, findings_.links.empty() ? "one rank: none" : "", ""};
    for (const LinkFacts& link : findings_.links) {
      const std::string ends = Name(link.from) + " to " + Name(link.to);
      if (!link.error.empty()) {
        return {check.name, false, ends + ": " + link.error,
                "check the network between these hosts: firewalls, and the interface that MPI "
                "uses"};
      }
      char text[64];
      std::snprintf(text, sizeof text, "%.0f us, %.2f GB/s", link.latency_seconds * 1e6,
                    link.bytes_per_second / 1e9);
      check.found += (check.found.empty() ? "" : "; ") + ends + " " + text;
    }
    return check;
  }

  CheckResult Clocks() const {
    CheckResult check{"clocks", true, "", ""};
    double most = 0;
    std::vector<int> off;
    for (const auto& [rank, ahead] : findings_.clock_ahead) {
      most = std::max(most, std::abs(ahead));
      if (std::abs(ahead) > kMostClockSkew) off.push_back(rank);
    }
    char text[64];
    std::snprintf(text, sizeof text, "at most %.3f s from rank 0's", most);
    check.found = text;
    if (!off.empty()) {
      check.passed = false;
      check.found += ": " + Names(off);
      check.fix = "set the clock by NTP (chrony) on these hosts";
    }
    return check;
  }

  CheckResult OpenFiles() const {
    const int64_t needed = findings_.num_ranks + kFilesBesideRanks;
    const auto few = Where([&](const RankFacts& facts) { return facts.open_files < needed; });
    CheckResult check{"open files", few.empty(), StrCat("at least ", needed, " everywhere"), ""};
    if (!few.empty()) {
      check.found = StrCat("fewer than ", needed, " may be open: ", Names(few));
      check.fix = "raise `ulimit -n` in the job's script, or LimitNOFILE of slurmd";
    }
    return check;
  }

  CheckResult SharedMemory() const {
    const auto few =
        Where([](const RankFacts& facts) { return facts.shared_memory_bytes < kSharedMemory; });
    CheckResult check{"shared memory", few.empty(), "at least 64 MiB free in /dev/shm", ""};
    if (!few.empty()) {
      check.found = "less than 64 MiB free in /dev/shm: " + Names(few);
      check.fix = "remove the files of ended jobs from /dev/shm, or mount it larger";
    }
    return check;
  }

  const Findings& findings_;
  std::map<int, std::string> hosts_;
};

}  // namespace

std::vector<CheckResult> JudgeFindings(const Findings& findings, bool expects_gpus) {
  return Judge(findings).Checks(expects_gpus);
}

nlohmann::json DoctorJson(const Findings& findings, const std::vector<CheckResult>& checks) {
  using nlohmann::json;
  json report = {{"passed", true},
                 {"checks", json::array()},
                 {"ranks", findings.ranks},
                 {"links", json::array()},
                 {"clock_ahead", json::array()}};
  for (const CheckResult& check : checks) {
    if (!check.passed) report["passed"] = false;
    report["checks"].push_back({{"name", check.name},
                                {"passed", check.passed},
                                {"found", check.found},
                                {"fix", check.fix}});
  }
  for (const LinkFacts& link : findings.links) {
    report["links"].push_back({{"from", link.from},
                               {"to", link.to},
                               {"error", link.error},
                               {"latency_seconds", link.latency_seconds},
                               {"bytes_per_second", link.bytes_per_second}});
  }
  for (const auto& [rank, ahead] : findings.clock_ahead) {
    report["clock_ahead"].push_back({{"rank", rank}, {"seconds", ahead}});
  }
  return report;
}

std::string DoctorTable(const nlohmann::json& report) {
  const auto text = [](const nlohmann::json& check, const char* name) {
    return check.at(name).get<std::string>();
  };
  size_t width = 0;
  for (const auto& check : report.at("checks")) width = std::max(width, text(check, "name").size());
  std::string table;
  for (const auto& check : report.at("checks")) {
    const std::string name = text(check, "name");
    const bool passed = check.at("passed");
    table += StrCat(passed ? "pass  " : "FAIL  ", name, std::string(width - name.size() + 2, ' '),
                    text(check, "found"), "\n");
    if (!passed) table += StrCat(std::string(8, ' '), "fix: ", text(check, "fix"), "\n");
  }
  return table;
}

}  // namespace flame
