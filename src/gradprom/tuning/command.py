"""`python run.py -m tune=…`: batch after batch of trials, until there are `tune.trials`.

Each trial is a run that the launcher starts like any other. Its result is in its record, and only
this process reports it to Optuna: the next process picks up a job that outlives this one.
"""

import statistics
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import optuna
from hydra.plugins.launcher import Launcher
from optuna.trial import Trial
from rich.console import Console

from gradprom.config.composing import Composer, one_sentence
from gradprom.errors import GradpromError, RunError
from gradprom.experiments.overrides import OverrideList
from gradprom.launch import submission
from gradprom.launch.submission import JobLost
from gradprom.metrics.registry import metric as metric_of
from gradprom.runs import provenance
from gradprom.runs.record import ErrorInfo, Record
from gradprom.runs.run import Run
from gradprom.storage.lease import exclusive
from gradprom.sweeps.plan import aspects, make_plan
from gradprom.sweeps.preflight import preflight
from gradprom.sweeps.progress import Display
from gradprom.tuning import journal, known_runs, report
from gradprom.tuning.tuning import Tuning, read_tuning

LOST = 3
"""How often a trial's job may be lost before the trial counts as failed."""
WAITING = "another process works on this tuning; waiting for it to end"


def tune(arguments: OverrideList, composer: Composer, launcher: Launcher) -> None:
    """Start or continue a search, and report the best configuration.

    Exits with 1 if an override is invalid, no trial has finished or the launcher stopped, with 130
    on Ctrl-C.

    Parameters
    ----------
    arguments
        The overrides of the command line.
    composer
        Composes the configuration of a run.
    launcher
        Hydra's launcher.
    """
    with one_sentence():
        tuning = read_tuning(arguments, composer)
        if not tuning.dry_run:
            preflight(make_plan(tuning.corners[:1], retry_failed=False), tuning.launcher)
    print(describe(tuning))
    if tuning.dry_run:
        return
    sys.stdout.flush()
    with one_sentence():
        try:
            with exclusive(tuning.study.folder / "lease", WAITING):
                attributes = {"words": tuning.overrides, "metric": tuning.options.metric}
                if len(tuning.seeds) > 1:
                    attributes["seeds"] = list(map(str, tuning.seeds))
                study = journal.create(tuning.study.folder, attributes)
                for text in known_runs.bring(tuning, study):
                    print(text, flush=True)
                Search(tuning, study, launcher).run()
        except KeyboardInterrupt:
            print("\nInterrupted. The same command continues with the trials that were started.")
            raise
    if report.write(tuning.study.folder) is None:
        sys.exit(1)


def describe(tuning: Tuning) -> str:
    """What is searched, and how many trials there are so far."""
    options, run = tuning.options, tuning.corners[0]
    splits = run.images().splits
    held_out, training = len(splits["validation"]), len(splits["train"])
    space = ", ".join(f"{key} {_values(values)}" for key, values in tuning.space.items())
    lines = {
        "space": space,
        "by": f"{options.metric} on {held_out} images held out of training, {training} to train on",
        "kept in": str(tuning.study.folder),
    }
    if reason := provenance.why_unknown():
        lines["note"] = f"records will have no git revision: {reason}"
    parts = [f"tuning {tuning.name}: {_counts(tuning)}"]
    parts += [f"  {title:<11}{text}" for title, text in lines.items()]
    return "\n".join([*parts, *aspects([run])])


def _counts(tuning: Tuning) -> str:
    """Such as `40 trials: 12 so far (9 finished, 3 pruned), 28 to do, 2 at once`."""
    folder, options = tuning.study.folder, tuning.options
    known = journal.load(folder).get_trials() if (folder / journal.JOURNAL).exists() else []
    trials = [t for t in known if journal.IMPORTED not in t.user_attrs]
    states = Counter(report.STATES[t.state] for t in trials)
    done = f" ({', '.join(f'{n} {state}' for state, n in states.items())})" if states else ""
    more = max(0, options.trials - len(trials)) + states[report.BEGUN]
    each = f" of {options.seeds} seeds" if options.seeds > 1 else ""
    from_records = len(known) - len(trials)
    beside = f" and {from_records} from records" if from_records else ""
    at_once = f", {options.at_once} at once" if options.at_once > 1 else ""
    total = f"{options.trials} trials{each}{beside}"
    return f"{total}: {len(trials)} so far{done}, {more} to do{at_once}"


def _values(values: Any) -> str:
    if isinstance(values, optuna.distributions.CategoricalDistribution):
        return "|".join(map(str, values.choices))
    step = f" by {values.step}" if values.step not in (None, 1) else ""
    return f"{values.low:g} to {values.high:g}{step}{' (log)' if values.log else ''}"


class Search:
    """The loop of a tuning: draws trials, launches their runs, and reports them to Optuna."""

    def __init__(self, tuning: Tuning, study: optuna.Study, launcher: Launcher):
        self.tuning = tuning
        self.study = study
        self.launcher = launcher
        self.launched = 0
        self.stopped: Any = None
        """Why a job was lost, once one is."""

    def run(self) -> None:
        """Run batch after batch to the end.

        Raises
        ------
        RunError
            If the launcher lost a job; its trial stays open, and the same command continues it.
        """
        for numbers in self._batches():
            open_trials = numbers
            for index in range(len(self.tuning.seeds)):
                runs = self._runs(open_trials, index)
                outcomes = self._launch(runs, index)
                open_trials = [
                    number
                    for number, run in runs.items()
                    if self._goes_on(number, index, run, outcomes.get(run.id))
                ]
            for number in numbers:
                text = report.line(self.study.get_trials(deepcopy=False)[number], self.study)
                print(text, flush=True)
            if self.stopped is not None:
                raise RunError(
                    f"a job was lost: {self.stopped}; run the same command again to continue"
                )

    def _batches(self) -> Iterator[list[int]]:
        """Numbers of trials: first those that a kill left open, then new ones."""
        size = self.tuning.options.at_once
        unfinished = journal.unfinished(self.study)
        yield from (unfinished[first : first + size] for first in range(0, len(unfinished), size))
        while (missing := self.tuning.options.trials - journal.count(self.study)) > 0:
            yield [self.study.ask().number for _ in range(min(size, missing))]

    def _runs(self, numbers: list[int], index: int) -> dict[int, Run]:
        """The runs of some trials with one of the seeds.

        A trial with an invalid combination of parameters has failed.
        """
        runs = {}
        for number in numbers:
            params = journal.draw(self.study, number, self.tuning.space, self.tuning.options)
            try:
                runs[number] = self.tuning.run(number, params, self.tuning.seeds[index])
            except GradpromError as error:
                journal.report_failed(self.study, number, str(error))
        return runs

    def _launch(self, runs: dict[int, Run], index: int) -> dict[str, Any]:
        """Launch what has not run yet, each run once; what its job returned, by run id."""
        if not runs:
            return {}
        numbers = {run.id: number for number, run in reversed(runs.items())}
        plan = make_plan(list(runs.values()), retry_failed=False)
        ids = [job.run.id for job in plan.pending]
        if not ids:
            return {}
        trials, seed = self.study.get_trials(deepcopy=False), self.tuning.seeds[index]
        jobs = {id: self.tuning.job(numbers[id], trials[numbers[id]].params, seed) for id in ids}
        try:
            with Display(plan, Console()):
                returned = submission.launch(
                    plan, jobs, self.launcher, self.tuning.packing, self.launched
                )
        except Exception as error:  # the records still say which runs have ended
            self.stopped = error
            return {}
        self.launched += len(jobs)
        return dict(zip(ids, returned, strict=True))

    def _goes_on(self, number: int, index: int, run: Run, outcome: Any) -> bool:
        """Report to Optuna what came of a trial's run; whether its next run is to be trained."""
        record = run.study.record(run.id)
        trial = journal.trial(self.study, number)
        if index == 0:
            trial.set_user_attr("run", run.id)
        if len(self.tuning.seeds) == 1:
            for epoch, value in known_runs.curve(
                run.study, run, self.tuning.options.metric
            ).items():
                journal.report(trial, epoch, value)
        match record:
            case Record(status="finished"):
                return self._is_left(number, index, record)
            case Record(status="pruned"):
                journal.report_pruned(self.study, number)
            case Record(status="failed", error=ErrorInfo() as error):
                reason = f"{error.type}: {error.message}"
                journal.report_failed(self.study, number, reason)
            case None if isinstance(outcome, Exception) and not isinstance(outcome, JobLost):
                # it could not even start
                journal.report_failed(self.study, number, str(outcome))
            case _:
                self._lost(trial, outcome)
        return False

    def _is_left(self, number: int, index: int, record: Record) -> bool:
        """Report a finished run; whether the trial has further runs to train."""
        metric, seeds = self.tuning.options.metric, self.tuning.seeds
        trial = journal.trial(self.study, number)
        values = [*trial.user_attrs.get("values", [])[:index], record.metrics[metric]]
        if len(seeds) > 1:
            images = known_runs.image_values(self.tuning.study, record.id, metric, index)
            for image, value in images.items():
                journal.report(trial, image, value)
            trial.set_user_attr("values", values)
        if index + 1 == len(seeds):
            journal.report_finished(self.study, number, statistics.fmean(values))
            return False
        if trial.user_attrs.get("passed", 0) <= index:
            if self._prunes() and journal.is_worse(self.study, number):
                journal.report_pruned(self.study, number, self._reason(values))
                return False
            trial.set_user_attr("passed", index + 1)  # decided once, also if this is interrupted
        return True

    def _prunes(self) -> bool:
        options, done = self.tuning.options, optuna.trial.TrialState.COMPLETE
        complete = len(self.study.get_trials(deepcopy=False, states=(done,)))
        return options.prune_after < 1 and complete >= options.startup

    def _reason(self, values: list[float]) -> str:
        best = journal.best(self.study)
        assert best is not None
        shown = metric_of(self.tuning.options.metric).text(statistics.fmean(values))
        seeds = f"{len(values)} of {len(self.tuning.seeds)} seeds"
        return f"{shown} after {seeds}, worse than trial {best.number} on the same images"

    def _lost(self, trial: Trial, outcome: Any) -> None:
        """A job ended before its run: it is tried again, but only `LOST` times in all."""
        times = trial.user_attrs.get("lost", 0) + 1
        trial.set_user_attr("lost", times)
        if times == LOST:
            journal.report_failed(self.study, trial.number, f"its job was lost {times} times")
        else:
            self.stopped = self.stopped or outcome or f"the job of trial {trial.number}"
