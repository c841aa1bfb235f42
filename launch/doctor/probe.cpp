#include "launch/doctor/probe.h"

#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <set>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/files/hdf5.h"
#include "comm/mpi_communicator.h"
#include "comm/tags.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Milliseconds = std::chrono::milliseconds;

// The longest time without a question: rank 0 asks a rank nothing while it is busy with others.
constexpr Milliseconds kIdle = std::chrono::minutes(10);
// The longest time that a network file system may take to show a file to other hosts.
constexpr Milliseconds kVisible = std::chrono::seconds(5);
constexpr int kPings = 100, kStreams = 8;
constexpr size_t kStreamBytes = 8 << 20;

double WallSeconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// One rank's side: does what rank 0 asks and answers in JSON. A failure is an answer, too.
class Prober {
 public:
  Prober(Communicator* world, fs::path folder, std::string device, Milliseconds deadline)
      : world_(world),
        folder_(std::move(folder)),
        device_(std::move(device)),
        deadline_(deadline) {}

  json Do(const json& ask) {
    const std::string what = ask.at("do");
    try {
      if (what == "facts") {
        RankFacts facts = FactsOfThisRank(rank(), device_);
        facts.start_has_barrier = world_ == nullptr || StartHasBarrier();
        return facts;
      }
      if (what == "write") return WriteFile(ask.at("token"));
      if (what == "look") return Look(ask.at("token"), ask.at("ranks"));
      if (what == "clean") return Clean(ask.at("token"));
      if (what == "clock") return WallSeconds();
      if (what == "measure") return Measure(ask.at("partner"));
      if (what == "echo") return Echo(ask.at("partner"));
      return {{"error", "unknown question " + what}};
    } catch (const std::exception& error) {
      return {{"error", error.what()}};
    }
  }

 private:
  int rank() const { return world_ == nullptr ? 0 : world_->rank(); }
  fs::path FileOf(const std::string& token, int rank) const {
    return folder_ / StrCat(".doctor-", token, "-", rank, ".h5");
  }

  json WriteFile(const std::string& token) {
    fs::create_directories(folder_);
    Hdf5File file = Hdf5File::Create(FileOf(token, rank()));
    file.Write("rank", std::vector<int32_t>{rank()});
    file.Close();
    return json::object();
  }

  json Look(const std::string& token, const std::vector<int>& ranks) {
    std::vector<int> unseen;
    const auto end = Clock::now() + kVisible;
    for (const int other : ranks) {
      while (!Sees(token, other) && Clock::now() < end)
        std::this_thread::sleep_for(Milliseconds(50));
      if (!Sees(token, other)) unseen.push_back(other);
    }
    return unseen;
  }

  bool Sees(const std::string& token, int other) const {
    try {
      const auto file = Hdf5File::OpenForReading(FileOf(token, other));
      return file.Read<int32_t>("rank") == std::vector<int32_t>{other};
    } catch (const Error&) {
      return false;
    }
  }

  json Clean(const std::string& token) {
    std::error_code ignored;
    fs::remove(FileOf(token, rank()), ignored);
    return json::object();
  }

  std::string Take(int partner) {
    Message message;
    if (!world_->TryReceive(partner, kDoctorPingTag, deadline_, &message)) {
      throw MachineError("rank ", partner, " has not answered for ",
                         static_cast<double>(deadline_.count()) / 1000, " s");
    }
    return std::move(message.bytes);
  }

  json Measure(int partner) {
    std::vector<double> round_trips;
    for (int i = 0; i < kPings; ++i) {
      const auto start = Clock::now();
      world_->Send("8 bytes.", partner, kDoctorPingTag);
      Take(partner);
      round_trips.push_back(SecondsSince(start));
    }
    std::nth_element(round_trips.begin(), round_trips.begin() + kPings / 2, round_trips.end());
    const std::string bytes(kStreamBytes, 'x');
    const auto start = Clock::now();
    for (int i = 0; i < kStreams; ++i) world_->Send(bytes, partner, kDoctorPingTag);
    Take(partner);
    return {{"latency", round_trips[kPings / 2] / 2},
            {"bandwidth", static_cast<double>(kStreamBytes) * kStreams / SecondsSince(start)}};
  }

  json Echo(int partner) {
    for (int i = 0; i < kPings; ++i) world_->Send(Take(partner), partner, kDoctorPingTag);
    for (int i = 0; i < kStreams; ++i) Take(partner);
    world_->Send("all", partner, kDoctorPingTag);
    return json::object();
  }

  Communicator* world_;
  fs::path folder_;
  std::string device_;
  Milliseconds deadline_;
};

void Answer(Communicator* world, Prober* prober) {
  while (true) {
    Message message;
    if (!world->TryReceive(0, kDoctorAskTag, kIdle, &message)) {
      throw MachineError("rank ", world->rank(), ": rank 0 has asked nothing for ",
                         kIdle.count() / 1000, " s");
    }
    const json ask = json::parse(message.bytes);
    if (ask.at("do") == "stop") return;
    const json answer = {{"number", ask.at("number")}, {"answer", prober->Do(ask)}};
    // File names may contain bytes that are not UTF-8.
    world->Send(answer.dump(-1, ' ', false, json::error_handler_t::replace), 0, kDoctorAnswerTag);
  }
}

// Rank 0's side: asks and collects the findings.
class Examination {
 public:
  Examination(Communicator* world, Prober* prober, Milliseconds deadline)
      : world_(world), prober_(prober), deadline_(deadline) {
    findings_.num_ranks = world == nullptr ? 1 : world->size();
    for (int rank = 0; rank < findings_.num_ranks; ++rank) ranks_.insert(rank);
  }

  Findings Run() {
    for (const auto& [rank, answer] : AskAll({{"do", "facts"}})) {
      if (answer.contains("error")) {
        findings_.unknown[rank] = answer.at("error");
      } else {
        findings_.ranks.push_back(answer);
      }
    }
    TryFolder();
    for (const int rank : std::set<int>(ranks_)) MeasureClock(rank);
    for (const auto& [from, to] : Links()) MeasureLink(from, to);
    if (world_ != nullptr) {
      for (int rank = 1; rank < findings_.num_ranks; ++rank) Send(rank, {{"do", "stop"}});
    }
    return std::move(findings_);
  }

 private:
  void Send(int rank, json ask) {
    ask["number"] = ++number_;
    try {
      world_->Send(ask.dump(), rank, kDoctorAskTag);
    } catch (const Error&) {
      Miss(rank);
    }
  }

  void Miss(int rank) {
    if (ranks_.erase(rank) == 1) findings_.silent.push_back(rank);
  }

  Clock::time_point Deadline() const { return Clock::now() + kVisible + deadline_; }

  // Returns the answer to question `number`; null if none comes in time.
  json Take(int rank, int number, Clock::time_point end) {
    const auto left = [end] {
      return std::max(Milliseconds(1),
                      std::chrono::duration_cast<Milliseconds>(end - Clock::now()));
    };
    try {
      Message message;
      while (world_->TryReceive(rank, kDoctorAnswerTag, left(), &message)) {
        json answer = json::parse(message.bytes);
        if (answer.at("number") == number) return answer.at("answer");
      }
    } catch (const Error&) {
      // The transport lost the rank.
    }
    Miss(rank);
    return nullptr;
  }

  // Asks all ranks at the same time, with one deadline. Returns the answers of those that answer.
  std::map<int, json> AskAll(const json& ask) {
    std::map<int, int> numbers;
    for (const int rank : std::set<int>(ranks_)) {
      if (rank != 0) Send(rank, ask), numbers[rank] = number_;
    }
    std::map<int, json> answers = {{0, prober_->Do(ask)}};
    const auto end = Deadline();
    for (const auto& [rank, number] : numbers) {
      if (ranks_.count(rank) == 0) continue;
      json answer = Take(rank, number, end);
      if (!answer.is_null()) answers[rank] = std::move(answer);
    }
    return answers;
  }

  void TryFolder() {
    const std::string token = StrCat(getpid(), "-", static_cast<int64_t>(WallSeconds()));
    std::vector<int> writers;
    std::map<int, FolderFacts> facts;
    for (const auto& [rank, answer] : AskAll({{"do", "write"}, {"token", token}})) {
      facts[rank].rank = rank;
      facts[rank].error = answer.value("error", "");
      if (facts[rank].error.empty()) writers.push_back(rank);
    }
    for (const auto& [rank, unseen] :
         AskAll({{"do", "look"}, {"token", token}, {"ranks", writers}})) {
      if (unseen.is_array()) facts[rank].unseen = unseen.get<std::vector<int>>();
    }
    AskAll({{"do", "clean"}, {"token", token}});
    for (auto& [rank, fact] : facts) findings_.folder.push_back(std::move(fact));
  }

  // Takes the exchange with the shortest round trip of several, as NTP does.
  void MeasureClock(int rank) {
    if (rank == 0) return;
    double shortest = 1e9, ahead = 0;
    for (int i = 0; i < 8; ++i) {
      const double sent = WallSeconds();
      Send(rank, {{"do", "clock"}});
      const json there = ranks_.count(rank) == 0 ? json() : Take(rank, number_, Deadline());
      if (!there.is_number()) return;
      const double received = WallSeconds();
      if (received - sent >= shortest) continue;
      shortest = received - sent;
      ahead = there.get<double>() - (sent + received) / 2;
    }
    findings_.clock_ahead[rank] = ahead;
  }

  std::vector<std::pair<int, int>> Links() const {
    std::map<std::string, std::vector<int>> hosts;
    for (const RankFacts& facts : findings_.ranks) {
      if (ranks_.count(facts.rank) != 0) hosts[facts.host].push_back(facts.rank);
    }
    std::vector<int> first;
    std::vector<std::pair<int, int>> links;
    for (const auto& [host, ranks] : hosts) {
      first.push_back(ranks[0]);
      if (ranks.size() > 1) links.push_back({ranks[0], ranks[1]});
    }
    for (size_t i = 0; i + 1 < first.size(); ++i) links.push_back({first[i], first[i + 1]});
    if (first.size() > 2) links.push_back({first.back(), first[0]});
    return links;
  }

  void MeasureLink(int from, int to) {
    if (ranks_.count(from) == 0 || ranks_.count(to) == 0) return;
    // If rank 0 is one end of the link, it starts its own part after the other end has started.
    const int other = from == 0 ? to : from;
    const json measure = {{"do", "measure"}, {"partner", to}};
    const json echo = {{"do", "echo"}, {"partner", from}};
    int here_number = 0;
    if (from != 0 && to != 0) Send(to, echo), here_number = number_;
    Send(other, other == from ? measure : echo);
    const int there_number = number_;
    json here = from == 0 ? prober_->Do(measure) : to == 0 ? prober_->Do(echo) : json();
    const json there = Take(other, there_number, Deadline());
    if (here_number != 0) here = Take(to, here_number, Deadline());
    const json& measured = from == 0 ? here : there;
    LinkFacts link{from, to, "", 0, 0};
    if (here.is_null() || there.is_null()) {
      link.error = "no answer";
    } else if (measured.contains("error")) {
      link.error = measured.at("error");
    } else {
      link.latency_seconds = measured.at("latency");
      link.bytes_per_second = measured.at("bandwidth");
    }
    findings_.links.push_back(std::move(link));
  }

  Communicator* world_;
  Prober* prober_;
  Milliseconds deadline_;
  std::set<int> ranks_;  // ranks that have answered so far
  int number_ = 0;
  Findings findings_;
};

}  // namespace

std::optional<Findings> Probe(Communicator* world, const fs::path& folder,
                              const std::string& device, Milliseconds deadline) {
  Prober prober(world, folder, device, deadline);
  if (world != nullptr && world->rank() != 0) {
    Answer(world, &prober);
    return std::nullopt;
  }
  return Examination(world, &prober, deadline).Run();
}

}  // namespace flame
