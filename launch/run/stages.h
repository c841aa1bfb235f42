// The stages of a run, each made from files of the run folder and leaving files there.
//   prepare -> classifier -> tasks -> list -> grpo -> evaluate
#ifndef FLAME_LAUNCH_RUN_STAGES_H_
#define FLAME_LAUNCH_RUN_STAGES_H_

#include <string>
#include <vector>

#include "comm/communicator.h"
#include "launch/run/config.h"
#include "model/policy.h"

namespace flame {

// Tables to corpus.h5 and base/ (tokenizer, starting weights, entity slots). hospital/ is made
// first where data.hospital is synth.
void PrepareStage(const Config& config);
// pi_cls: classifier/model.
void ClassifierStage(const Config& config, Communicator* world);
// pi_cls's scores and the list tasks: tasks/scores.h5, tasks/tasks.h5.
void TasksStage(const Config& config);
// pi_list by SFT: list/model.
void ListStage(const Config& config, Communicator* world);
// pi_list by step-wise GRPO: grpo/model. Roles of `world` by config.cluster.
void GrpoStage(const Config& config, Communicator* world);
// What GrpoStage trains: pi_list's adapters merged, entities made rows, new adapters.
Policy LoadGrpoPolicy(const Config& config, bool tell);
// SHA-256 of what GrpoStage depends on, as its shards and checkpoints say it. Throws DataError
// where an earlier stage is not done.
std::string GrpoInputs(const Config& config);
// evaluation.json.
void EvaluateStage(const Config& config);

// All of them in order, one process.
void RunPipeline(const Config& config);
// A line of the log: how long each stage took.
void TellTimes(const Config& config);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_STAGES_H_
