#include "base/config.h"
#include "base/error.h"
#include "launch/batch/batch_file.h"
#include "launch/cli/declaration.h"

namespace flame {
namespace {

using Options = std::vector<OptionDeclaration>;

const std::vector<std::string> kStages = {"classifier", "list", "grpo"};
const std::vector<std::string> kLogLevels = {"debug", "info", "warning", "error"};

Options ModelOptionsOf(const Options& more) {
  Options options = {{"model", "DIR", "Hugging Face folder of a Llama or Qwen model"},
                     {"adapter", "DIR", "LoRA folder in peft's format"},
                     {"dtype",
                      "TYPE",
                      "type of weights and activations, float32 by default",
                      {"float32", "float64", "bfloat16"}},
                     {"device", "DEVICE", "where to compute, cpu by default", {"cpu", "cuda"}},
                     {"quantize",
                      "KIND",
                      "format of the blocks' weights; none, the default, is not quantised",
                      {"none", "int8", "nf4"}}};
  options.insert(options.end(), more.begin(), more.end());
  return options;
}

std::vector<Declaration> StageCommands() {
  return {
      {"pipeline",
       "run the whole pipeline, from tables to an evaluated policy",
       {"flame pipeline --config configs/quickstart.yaml run.dir=runs/mine"},
       "Prepare, classifier, tasks, list SFT, step-wise GRPO, evaluation. A stage whose inputs are "
       "unchanged is skipped; an interrupted training resumes from its last checkpoint.\n",
       {},
       {},
       /*takes_config=*/true},
      {"synth",
       "make a synthetic hospital with known truth",
       {"flame synth --patients 3000 --seed 1 --out hospital",
        "flame synth --like eicu --shift coding,formulary --out elsewhere"},
       "Writes a synthetic hospital, whose best possible policy is known, in the layout of a real "
       "one. A shifted hospital differs from it in stated ways, to try a model elsewhere.\n",
       {},
       {{"patients", "N", "patients of the hospital, 3000 by default"},
        {"seed", "N", "seed, 1 by default; the same seed and size give the same bytes"},
        {"like",
         "LAYOUT",
         "layout of the tables, mimic3 by default; the hospital is the same",
         {"mimic3", "mimic4", "eicu"}},
        {"shift", "LIST",
         "what differs, separated by commas: prevalence, coding, prescribing, formulary; none by "
         "default"},
        {"out", "DIR", "folder to make"},
        {"json", "", "the summary as JSON"}}},
      {"prepare",
       "turn hospital tables into corpus, tokenizer and starting model",
       {"flame prepare --config configs/mimic3-demo.yaml",
        "flame prepare data.root=mimic data.mappings=mappings --out corpus.h5",
        "flame prepare data.hospital=mimic4 data.root=mimic-iv data.mappings=mappings --onto "
        "runs/mimic3 --out transfer.h5"},
       "Reads the hospital's tables and writes corpus.h5, the tokenizer and the starting model "
       "into "
       "run.dir.\n",
       {},
       {{"out", "FILE",
         "write only the corpus, to this file; needs data.root, and records no stage"},
        {"onto", "RUN",
         "with --out: keep the codes of this run's or file's corpus, so that its policy can be "
         "evaluated on these visits"}},
       true},
      {"encode",
       "train the encoders of visits and codes",
       {"flame encode --config configs/quickstart.yaml encoders.train=[micron,raremed]",
        "mpirun -np 4 flame encode --config configs/mimic3-demo.yaml encoders.diagnosis=micron"},
       "Trains the encoders that encoders.diagnosis, encoders.procedure and encoders.train name, "
       "on "
       "the training visits alone, and writes encode/entities.h5, the vectors of the corpus's "
       "visits and codes.\n",
       {},
       {},
       true},
      {"sft",
       "fine-tune the classifier or the list policy",
       {"flame sft classifier --config configs/quickstart.yaml",
        "mpirun -np 4 flame sft list --config configs/quickstart.yaml"},
       "Supervised fine-tuning of the drug-level classifier or of the list-wise policy.\n",
       {"STAGE", 1, 1, {"classifier", "list"}},
       {},
       true},
      {"tasks",
       "make list tasks from the classifier's errors",
       {"flame tasks --config configs/quickstart.yaml",
        "flame tasks --config configs/quickstart.yaml --feedback decisions.jsonl"},
       "Scores training visits with the classifier and builds add and remove tasks from its "
       "errors.\n",
       {},
       {{"feedback", "FILE",
         "physicians' decisions; same as tasks.feedback=FILE (docs/rewards.md)"}},
       true},
      {"grpo",
       "train the list policy with step-wise GRPO",
       {"flame grpo --config configs/quickstart.yaml",
        "mpirun -np 4 flame grpo --config configs/quickstart.yaml cluster.learners=2 "
        "cluster.rollouts=1 cluster.rewards=1"},
       "Trains the list policy with step-wise GRPO.\n",
       {},
       {},
       true},
      {"evaluate",
       "evaluate every policy of a run on held-out visits",
       {"flame evaluate --config configs/quickstart.yaml --json",
        "flame evaluate --config configs/quickstart.yaml --predictions gamenet.jsonl,micron.jsonl",
        "flame evaluate --config configs/quickstart.yaml --compare list-grpo,logistic",
        "flame evaluate --config configs/quickstart.yaml --on other.h5 --out transfer.json"},
       "Evaluates the run's policies and the baselines on the visits of evaluate.split, or on "
       "another hospital's visits. The lists on the run's own visits go to run.dir/predictions. "
       "With --json come also results by group of patients, calibration, abstention, the commonest "
       "errors and phi along the lists; `flame report` shows them.\n",
       {},
       {{"on", "FILE",
         "a corpus that `flame prepare --onto` made; all its visits are evaluated, and nothing is "
         "trained or chosen on them"},
        {"years", "YEARS",
         "with --on, two years such as 2014-2016: visits of other years are history alone"},
        {"predictions", "FILES",
         "other systems' lists, a comma between files: rows of their own on the same visits, "
         "compared with the best baseline and the run's policies. A line is {\"hadm_id\": 142345, "
         "\"drugs\": [\"DB00316\"]}, perhaps with \"scores\": {\"DB00316\": 0.9}"},
        {"compare", "A,B",
         "two rows, compared visit by visit in every metric of lists and scores: difference, 95 % "
         "interval, and p of a "
         "permutation test"},
        {"out", "FILE", "with --on or --predictions, also write the result as JSON to this file"},
        {"lists", "DIR", "with --on, also write the lists of each row to this folder"}},
       true},
  };
}

std::vector<Declaration> ClusterCommands() {
  return {
      {"sweep",
       "run many trials of a config on shared workers, and report them",
       {"flame sweep configs/sweep-alpha-lambda.yaml --jobs 2",
        "flame sweep configs/sweep-alpha-lambda.yaml --jobs 8 --slurm",
        "flame sweep status runs/sweep-alpha-lambda", "flame sweep report runs/sweep-alpha-lambda"},
       "Runs the trials of a sweep file. If the same command is called again, or on another host "
       "that shares the folder, it joins: it does not repeat finished trials, leaves running "
       "trials to their workers, and resumes the trials of dead workers. `status` and `report` "
       "take the sweep's file or folder; `report` writes report.csv and report.html.\n",
       {"FILE", 1, 2},
       {{"jobs", "N", "trials at once, 1 by default; with --slurm, workers"},
        {"slurm", "", "submit the workers as a job array of slurm/sweep.sbatch"},
        {"log-level", "LEVEL", "what goes to stderr and to the trials' log.txt, info by default",
         kLogLevels},
        {"json", "", "the result as JSON"}}},
      {"export",
       "export a Hugging Face directory for serving, or a corpus for other projects",
       {"flame export --run runs/quickstart --out exported",
        "flame export --run runs/quickstart --out exported --dtype bfloat16",
        "flame export --run runs/quickstart --gguf exported.gguf --dtype q8_0",
        "flame export --run runs/mimic3 --peft adapter", "flame export --verify exported",
        "flame export --records exported runs/quickstart",
        "flame export --pyhealth exported --mappings mappings corpus.h5"},
       "Writes a Hugging Face directory: adapters merged, entity slots as tokens, a model card, "
       "grammars of the drugs, and manifest.json with digests; or a GGUF file. With --records or "
       "--pyhealth writes a corpus, or that of a run folder, in place of a model.\n",
       {"CORPUS", 0, 1},
       {{"run", "DIR", "run folder whose grpo/model is exported"},
        {"model", "DIR", "a model folder, in place of --run"},
        {"out", "DIR", "folder to make for a model"},
        {"gguf", "FILE", "a GGUF file for llama.cpp to make, in place of --out"},
        {"peft", "DIR",
         "folder to make for a peft adapter of a LoRA run, in place of --out; for the model that "
         "the run started from"},
        {"slots",
         "WHAT",
         "with --peft, slots of codes and drugs: drop (the default; prompts are text alone) or "
         "rows "
         "(DIR/base is that model with slots as rows)",
         {"drop", "rows"}},
        {"dtype",
         "TYPE",
         "of the weights: float32 (the default), bfloat16 or float16 with --out; f32, f16 (the "
         "default) or q8_0 with --gguf; adapters are merged in float32",
         {"float32", "bfloat16", "float16", "f32", "f16", "q8_0"}},
        {"verify", "DIR", "compare an exported folder with its manifest.json, and do nothing else"},
        {"records", "DIR", "folder to make for records.jsonl, which data.hospital: records reads"},
        {"pyhealth", "DIR", "folder to make for tables and code maps that PyHealth 1.1.6 reads"},
        {"mappings", "DIR",
         "folder with drugbank_to_smiles.csv, for the structures of --pyhealth"}}},
      {"launch",
       "write, submit and watch a Slurm job for a config",
       {"flame launch grpo --config configs/quickstart.yaml --nodes 2 --gpus-per-node 4 --time "
        "12:00:00",
        "flame launch --status runs/quickstart"},
       "Writes the batch file for a config into run.dir/launch and gives it to sbatch. Shortly "
       "before its time limit the job saves, is requeued and resumes by itself. The command fails "
       "if flame plan says that a role does not fit, or if flame doctor finds a fault on this "
       "host. Account and partition come from SBATCH_ACCOUNT and SBATCH_PARTITION, which sbatch "
       "reads.\n",
       {"COMMAND", 0, 1, LaunchCommands()},
       {{"nodes", "N", "number of nodes, 1 by default"},
        {"gpus-per-node", "N",
         "ranks per node that learn or sample, 1 by default; each has one GPU unless "
         "model.device=cpu; ranks that score run on the same nodes"},
        {"time", "T", "time limit of the job in Slurm's notation: 12:00:00, 2-00:00:00"},
        {"gpu-memory", "SIZE", "memory of a GPU, such as 80GB, that every role must fit into"},
        {"dry-run", "", "print the batch file; write nothing and submit nothing"},
        {"status", "DIR",
         "state of the run's last job and the last line of its log; with --json {job, at_work, "
         "slurm: {JobState, ...}, log, last_line}"},
        {"logs", "DIR", "the log of the run's last job"},
        {"cancel", "DIR",
         "cancel the run's last job; a training saves a checkpoint if Slurm's KillWait is long "
         "enough"}},
       true},
      {"plan",
       "print memory and time of a training before it starts",
       {"flame plan --config configs/quickstart.yaml --gpus 4 --gpu-memory 80GB",
        "flame plan --gpus 8 --gpu-memory 80GB --flops 4e14 --bandwidth 50GB --stage grpo "
        "data.hospital=synth model.path=DIR"},
       "Prints the memory of every role, and the work and seconds of a step. Exit status 2 if a "
       "role does not fit. Reads only config.json of model.path, not the weights.\n",
       {},
       {{"gpus", "N", "number of ranks; each rank has one GPU; 1 by default"},
        {"gpu-memory", "SIZE", "memory of a GPU: 80GB, 900MB, 40GiB"},
        {"flops", "F", "FLOP/s that a GPU reaches; measured on this machine's CPU by default"},
        {"gpus-per-node", "N",
         "ranks per machine (the size of a group of cluster.sharding=hybrid); by default all ranks "
         "are on one machine"},
        {"bandwidth", "B", "bytes/s that a rank receives from others; measured by default"},
        {"memory-bandwidth", "B",
         "memory bandwidth of a rank in bytes/s; measured by default, but if --flops is given "
         "without it, the time of decoding counts arithmetic only"},
        {"stage", "STAGE", "plan only this stage", kStages}},
       true},
      {"doctor",
       "check on every rank whether the nodes can run a job",
       {"flame doctor --config configs/quickstart.yaml --json",
        "SLURM_PMIX_FENCE=ring srun --mpi=pmix flame doctor --config configs/quickstart.yaml",
        "mpirun flame doctor --config configs/quickstart.yaml"},
       "Checks before a run, on every rank, what the run needs: one build and the same libraries "
       "everywhere, GPUs, messages between hosts, a run folder that all ranks can write and read, "
       "clocks, limits. Prints one line per check, with the repair in words; exit status 4 if a "
       "check fails. Creates the run folder if it is missing, and leaves no file in it. In a batch "
       "file, or a shell of salloc, it starts itself on all ranks by srun, and reports even if a "
       "host cannot be reached.\n",
       {},
       {},
       true},
      {"replay",
       "train GRPO again, from recorded shards alone",
       {"flame replay --config configs/quickstart.yaml --out runs/replayed",
        "flame replay --config configs/quickstart.yaml --out runs/standard credit.lambda=0"},
       "Trains GRPO again from the shards in run.dir/grpo/rollouts, into a folder of its own; "
       "nothing is sampled or scored. At the end it compares the losses with the recorded losses. "
       "With the recorded settings, the same numbers of learners and threads and the same kind of "
       "processor, they are equal bit for bit.\n",
       {},
       {{"out", "DIR", "folder to make; if it has checkpoints, the training resumes from them"}},
       true},
  };
}

std::vector<Declaration> FileCommands() {
  return {
      {"report",
       "make one page of runs: results, learning curves, examples",
       {"flame report runs/quickstart", "flame report runs/quickstart --watch",
        "flame report runs/seed1 runs/seed2 runs/seed3 --out seeds.html --curve curve.svg"},
       "Writes one HTML file that needs no other file and no network: all rows of the evaluation "
       "with intervals, groups of patients, calibration, errors; learning curves, the terms of "
       "phi, "
       "time by role; sampled lists with phi and advantages; the data and the stages. Several runs "
       "are compared first. Works while a run goes.\n",
       {"RUN", 1, 100},
       {{"out", "FILE", "the page; report.html of the first run's folder by default"},
        {"curve", "FILE", "also draw the learning curve of GRPO as an SVG file, for a README"},
        {"watch", "",
         "serve the page on this machine alone (127.0.0.1), made anew every ten seconds, until "
         "Ctrl-C"},
        {"port", "N", "with --watch, the port; a free one by default"}}},
      {"inspect",
       "show what a run, a corpus, a shard, entities.h5 or a stage's checkpoints hold",
       {"flame inspect runs/quickstart", "flame inspect runs/quickstart/corpus.h5",
        "flame inspect runs/quickstart/corpus.h5 --leaks",
        "flame inspect runs/quickstart/grpo/rollouts/step-000000-part-000.h5",
        "flame inspect runs/quickstart/grpo"},
       "Sums up a run's folder: stages, done or stale and why, figures and the next command. "
       "Summarises a corpus and what the preparation did to the tables' rows; shows a shard's "
       "groups, lists and advantages, coloured on a terminal; counts the vectors of entities.h5; "
       "or lists and verifies the checkpoints in a stage's folder.\n",
       {"FILE", 1, 1},
       {{"json", "", "the summary as JSON"},
        {"visits", "", "print the visits of the corpus as JSON lines"},
        {"visit", "HADM_ID", "print one visit of the corpus and its prompts"},
        {"leaks", "", "where true drugs stand in prompts, and what was not known at admission"},
        {"limit", "N", "number of groups of a shard to show, 2 by default"},
        {"task-id", "N", "show only the group of this task"},
        {"full", "", "show whole prompts of a shard's groups, not only their ends"}}},
      {"tokenize",
       "convert between text and token ids, as JSON lines",
       {"echo '{\"text\": \"Sepsis, 5 mg\"}' | flame tokenize --tokenizer model/tokenizer.json"},
       "Reads JSON lines {\"text\"} or {\"bytes_base64\"} and writes {\"ids\"}; reads {\"ids\"} "
       "and writes {\"text\", \"pieces\"}. `pieces` holds the text that each token adds, and a "
       "last entry with the bytes at the end that do not form a character. Special tokens have no "
       "text.\n",
       {},
       {{"tokenizer", "FILE",
         "tokenizer.json, Llama 3's encoder.json (vocab.bpe beside it), or their folder"},
        {"no-special-tokens", "",
         "do not add the tokens that the file's post_processor puts around a text"}}},
      {"generate",
       "complete prompts, as JSON lines",
       {"echo '{\"text\": \"Once upon a time\"}' | flame generate --model DIR --greedy "
        "--max-tokens 40"},
       "Reads JSON lines {\"ids\"} or {\"text\"} and writes {\"ids\", \"text\", \"logprobs\"} of "
       "the "
       "continuation.\n",
       {},
       ModelOptionsOf(
           {{"greedy", "", "take the most likely token each time (temperature 0)"},
            {"max-tokens", "N", "largest number of tokens to write, 64 by default"},
            {"samples", "N", "number of answers to each line, 1 by default"},
            {"temperature", "T", "temperature of sampling, 1 by default"},
            {"top-k", "K", "draw from the K most likely tokens; 0, the default: from all"},
            {"top-p", "P",
             "draw from the smallest set of most likely tokens with at least this total "
             "probability, 1 by default"},
            {"seed", "N", "seed of sampling, 0 by default"}})},
      {"score",
       "compute log-probabilities of continuations, as JSON lines",
       {"echo '{\"trunk\": [1, 5], \"branches\": [[7, 8], [9]]}' | flame score --model DIR"},
       "Reads JSON lines, each with a trunk and the branches that continue it, and writes "
       "{\"logprobs\": [[...], ...]}: one number per branch token.\n",
       {},
       ModelOptionsOf({})},
      {"config",
       "print the resolved config, or the reference of all keys",
       {"flame config --config configs/quickstart.yaml grpo.steps=400", "flame config --reference"},
       "Checks a config and prints all its keys as YAML, with every key's meaning; config.yaml of "
       "a run folder has the same form. With --reference it prints all keys as Markdown.\n",
       {},
       {{"reference", "", "every key with its default, range and meaning, as Markdown"}},
       true},
      {"completion",
       "print a tab-completion script for bash or zsh",
       {"source <(flame completion bash)", "flame completion zsh > ~/.zfunc/_flame"},
       "Prints a completion script for bash or zsh: commands, options, their values and config "
       "keys.\n",
       {"SHELL", 1, 1, {"bash", "zsh"}}},
  };
}

}  // namespace

const std::vector<Declaration>& Declarations() {
  static const std::vector<Declaration> all = [] {
    std::vector<Declaration> commands = StageCommands();
    for (const auto& more : {ClusterCommands(), FileCommands()}) {
      commands.insert(commands.end(), more.begin(), more.end());
    }
    return commands;
  }();
  return all;
}

const Declaration& FindDeclaration(const std::string& name) {
  std::vector<std::string> names;
  for (const Declaration& command : Declarations()) {
    if (name == command.name) return command;
    names.push_back(command.name);
  }
  const std::string nearest = NearestWord(name, names);
  throw UsageError("'", name, "' is not a command",
                   nearest.empty() ? "" : "; nearest is '" + nearest + "'", "; see flame --help");
}

std::vector<OptionDeclaration> AllOptions(const Declaration& declaration) {
  Options options = declaration.options;
  if (declaration.takes_config) {
    options.insert(
        options.end(),
        {{"config", "FILE", "YAML file; every key has a default"},
         {"json", "", "results as JSON on stdout"},
         {"log-level", "LEVEL", "what goes to stderr, info by default", kLogLevels},
         {"progress",
          "FORM",
          "how stderr shows progress: for people, or a line of JSON every ten seconds",
          {"plain", "json"}},
         {"trace", "", "write run.dir/trace.json, a timeline of all ranks for Perfetto"}});
  }
  options.push_back({"help", "", "print this text"});
  return options;
}

}  // namespace flame
