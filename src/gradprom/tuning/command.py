"""`python run.py -m tune=…`: batch after batch of trials, until there are `tune.trials`.

Each trial is a run that the launcher starts like any other. Its result is in its record, and only
this process reports it to Optuna: the next process picks up a job that outlives this one.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import optuna
from hydra.plugins.launcher import Launcher
from optuna.trial import Trial
from rich.console import Console

from gradprom.config.composing import Composer, one_sentence
from gradprom.errors import GradpromError, RunError
from gradprom.experiments.overrides import OverrideList
from gradprom.launch import submission
from gradprom.launch.submission import JobLost
from gradprom.runs import history, provenance
from gradprom.runs.record import ErrorInfo, Record
from gradprom.runs.run import Run
from gradprom.storage.lease import exclusive
from gradprom.sweeps.plan import aspects, make_plan
from gradprom.sweeps.preflight import preflight
from gradprom.sweeps.progress import Display
from gradprom.tuning import journal, report
from gradprom.tuning.attempt import enhancer_epochs
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
                study = journal.create(tuning.study.folder, attributes)
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
    trials = journal.load(folder).get_trials() if (folder / journal.JOURNAL).exists() else []
    states = Counter(report.STATES[t.state] for t in trials)
    done = f" ({', '.join(f'{n} {state}' for state, n in states.items())})" if states else ""
    more = max(0, options.trials - len(trials)) + states[report.BEGUN]
    at_once = f", {options.at_once} at once" if options.at_once > 1 else ""
    return f"{options.trials} trials: {len(trials)} so far{done}, {more} to do{at_once}"


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
            runs = self._runs(numbers)
            outcomes = self._launch(runs)
            for number, run in runs.items():
                self._report(number, run, outcomes.get(run.id))
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
        while (missing := self.tuning.options.trials - len(self.study.get_trials(False))) > 0:
            yield [self.study.ask().number for _ in range(min(size, missing))]

    def _runs(self, numbers: list[int]) -> dict[int, Run]:
        """The runs of some trials; a trial with an invalid combination of parameters has failed."""
        runs = {}
        for number in numbers:
            params = journal.draw(self.study, number, self.tuning.space, self.tuning.options)
            try:
                runs[number] = self.tuning.run(number, params)
            except GradpromError as error:
                journal.report_failed(self.study, number, str(error))
        return runs

    def _launch(self, runs: dict[int, Run]) -> dict[str, Any]:
        """Launch what has not run yet, each run once; what its job returned, by run id."""
        numbers = {run.id: number for number, run in reversed(runs.items())}
        plan = make_plan(list(runs.values()), retry_failed=False)
        ids = [job.run.id for job in plan.pending]
        if not ids:
            return {}
        trials = self.study.get_trials(deepcopy=False)
        jobs = {id: self.tuning.job(numbers[id], trials[numbers[id]].params) for id in ids}
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

    def _report(self, number: int, run: Run, outcome: Any) -> None:
        """Report to Optuna how a trial ended, from its run's record."""
        record = run.study.record(run.id)
        trial = journal.trial(self.study, number)
        trial.set_user_attr("run", run.id)
        for epoch, value in self._curve(run).items():
            journal.report(trial, epoch, value)
        match record:
            case Record(status="finished"):
                value = record.metrics[self.tuning.options.metric]
                journal.report_finished(self.study, number, value)
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

    def _lost(self, trial: Trial, outcome: Any) -> None:
        """A job ended before its run: it is tried again, but only `LOST` times in all."""
        times = trial.user_attrs.get("lost", 0) + 1
        trial.set_user_attr("lost", times)
        if times == LOST:
            journal.report_failed(self.study, trial.number, f"its job was lost {times} times")
        else:
            self.stopped = self.stopped or outcome or f"the job of trial {trial.number}"

    def _curve(self, run: Run) -> dict[int, float]:
        """Validation scores of a run by the enhancer's epoch, from its history."""
        logged = history.read(run.study.run(run.id))
        scores = logged.values(f"validation_{self.tuning.options.metric}")
        measured = np.flatnonzero(~np.isnan(scores))
        if not measured.size:
            return {}
        before, epochs = enhancer_epochs(run)[0], logged.cells("epoch")
        return {before + int(epochs[row]): float(scores[row]) for row in measured}
